"""Code that two students share beyond the starter and beyond what a class has in common.

Programs become token streams (names, comments and layout do not count) and then fingerprints by
winnowing, the method of MOSS, as the library copydetect does it. Fingerprints of the starter are
left out, and so are those that many of the class have: that is the lecture, not the neighbour. What
is left of two programs is compared as sets, so that the order of functions does not matter either.

A pair is a reason to look, never a verdict: a short task has few right answers.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from paritylab.grade.model import Grade

LONGEST_GRAM = 25
"""Characters of a fingerprint's piece of token stream, and of the window it is chosen from."""
WINDOW = 6
COMMON_SHARE, COMMON_LEAST = 0.1, 10
"""A piece in more than this share of a class (and more than so many programs) is the lecture's."""
FEWEST = 8
"""With fewer pieces of its own a program says nothing."""
ALIKE = 0.7
LARGEST = 200_000
"""Characters; a longer source is no student's work and is not read."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two students whose programs are alike.

    ``share`` of the smaller one's own pieces are in the other; ``pieces`` is how many those are.
    ``verbatim`` says that the texts are equal but for white space at the ends of lines.
    """

    first: str
    second: str
    implementation: str
    share: float
    pieces: int
    verbatim: bool


def pairs(grades: Sequence[Grade], starters: Mapping[str, str]) -> list[Pair]:
    """Return the pairs that are alike, the most alike first.

    ``starters`` maps implementation -> what students began with; none of it counts.
    """
    found = []
    names = sorted({name for grade in grades for name in grade.submission.sources})
    for name in names:
        sources = {
            grade.submission.student: text
            for grade in grades
            if len(text := grade.submission.sources.get(name, "")) <= LARGEST and text.strip()
        }
        found += _pairs(name, sources, starters.get(name, ""))
    return sorted(found, key=lambda p: (-p.share, -p.pieces, p.first, p.second, p.implementation))


def _pairs(implementation: str, sources: Mapping[str, str], starter: str) -> list[Pair]:
    own = _own_pieces(sources, starter)
    texts = {student: _verbatim(text) for student, text in sources.items()}
    having, most = Counter(texts.values()), _most(len(sources))
    # What so many have to the letter is what the task leaves to write, or what was never written.
    telling = {text for text, number in having.items() if number <= most} - {_verbatim(starter)}
    found = []
    for first, second in combinations(sorted(sources), 2):
        verbatim = texts[first] == texts[second] and texts[first] in telling
        mine, other = own[first], own[second]
        fewer = min(len(mine), len(other))
        shared = len(mine & other) if fewer >= FEWEST else 0
        if not verbatim and shared < ALIKE * max(fewer, 1):
            continue
        found.append(
            Pair(
                first=first,
                second=second,
                implementation=implementation,
                share=shared / fewer if shared else 1.0,
                pieces=shared,
                verbatim=verbatim,
            )
        )
    return found


def _own_pieces(sources: Mapping[str, str], starter: str) -> dict[str, frozenset[int]]:
    """The fingerprints of each program that are neither the starter's nor the class's."""
    given = _pieces(starter, window=1)
    pieces = {student: _pieces(text, window=WINDOW) - given for student, text in sources.items()}
    having = Counter(piece for some in pieces.values() for piece in some)
    common = {piece for piece, number in having.items() if number > _most(len(sources))}
    return {student: frozenset(some - common) for student, some in pieces.items()}


def _most(programs: int) -> float:
    return max(COMMON_LEAST, COMMON_SHARE * programs)


def _pieces(text: str, *, window: int) -> set[int]:
    # It imports Matplotlib's window system for reports of its own: only where it is needed.
    from copydetect import CodeFingerprint  # noqa: PLC0415

    if not text.strip():
        return set()
    made = CodeFingerprint(
        "program.py", k=LONGEST_GRAM, win_size=window, language="python", fp=io.StringIO(text)
    )
    return {int(piece) for piece in made.hashes}


def _verbatim(text: str) -> str:
    lines = (line.rstrip() for line in text.strip().splitlines())
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
