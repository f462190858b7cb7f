"""The page that a student gets: what each check found, in words, and in values where allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from paritylab.grade.model import Check, Grade, Reveal
from paritylab.grade.outputs.revealing import shows_prints, shows_seeds, shows_values, values_of
from paritylab.html import render
from paritylab.html.figures import curves

TAIL = 6000
"""Characters of each stream's end that a page shows."""
_PLACE = re.compile(r"\((?P<file>[^()]+), line (?P<line>\d{1,6})\)")
KINDS = {"passed": "passed", "used": "passed", "partial": "partial", "not graded": "skipped"}
KINDS |= {"timeout": "timeout", "killed": "killed"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A check as the page's table shows it; ``kind`` is its colour, ``code`` the line it names."""

    check: Check
    kind: str
    code: str


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What may be told with values, of a check or of several for which it is the same."""

    ids: tuple[str, ...]
    line: Line
    said: str
    figure: Markup | None


def page(grade: Grade, reveal: Reveal) -> str:
    """Return one student's page; nothing in it depends on another student's grade."""
    lines = [_line(check, grade) for check in grade.checks]
    prints = shows_prints(grade, reveal)
    return render(
        "feedback.html.j2",
        grade=grade,
        handed=grade.submission,
        parts=[
            (name, some, _numbers(some, grade, reveal)) for name, some in _by_implementation(lines)
        ],
        passed=sum(line.check.passed for line in lines if line.check.points),
        counted=sum(bool(line.check.points) for line in lines),
        kept_back=any(
            line.check.hidden and not line.check.passed and not values_of(line.check, grade, reveal)
            for line in lines
        ),
        prints=prints,
        printed=bool((grade.stdout + grade.stderr).strip()),
        stdout=grade.stdout[-TAIL:] if prints else "",
        stderr=grade.stderr[-TAIL:] if prints else "",
        seeds=grade.seeds if shows_seeds(reveal) else (),
        ungraded=[str(one) for one in grade.facts.get("ungraded", ())],
    )


def kind_of(check: Check) -> str:
    """The colour of a check's verdict: a class of the style sheet."""
    return KINDS.get(check.verdict, "failed")


def _line(check: Check, grade: Grade) -> Line:
    return Line(check=check, kind=kind_of(check), code=_code(check, grade))


def _code(check: Check, grade: Grade) -> str:
    """The student's own line that the words name, such as ``ValueError (tf2.py, line 12)``."""
    found = _PLACE.search(check.words)
    if found is None or found["file"] != f"{check.implementation}.py":
        return ""
    lines = grade.submission.sources.get(check.implementation, "").splitlines()
    number = int(found["line"])
    return lines[number - 1].strip()[:120] if 0 < number <= len(lines) else ""


def _numbers(lines: Iterable[Line], grade: Grade, reveal: Reveal) -> list[Numbers]:
    found: dict[str, Numbers] = {}
    for line in lines:
        check = line.check
        figure = None
        if check.curve and shows_values(check, reveal):
            title = f"{check.id} over the steps"
            figure = curves(check.curve.expected, {"yours": check.curve.got}, title=title)
        said = values_of(check, grade, reveal)
        if not (said or figure):
            continue
        # An exception is the same for every output: it is told once.
        key = said if said and not (figure or check.divergence) else check.id
        ids = (*found[key].ids, check.id) if key in found else (check.id,)
        found[key] = Numbers(ids=ids, line=line, said=said, figure=figure)
    return list(found.values())


def _by_implementation(lines: Iterable[Line]) -> list[tuple[str, list[Line]]]:
    parts: dict[str, list[Line]] = {}
    for line in lines:
        parts.setdefault(line.check.implementation, []).append(line)
    return list(parts.items())
