"""The vocabulary of grading as frozen types; JSON-ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from paritylab.model import Divergence


class Reveal(StrEnum):
    """Which hidden values a student's feedback may show."""

    NONE = "none"
    FAILED = "failed"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What one student handed in, read from untrusted files and never run on this machine.

    ``student`` is the id that files and journal units are named by (safe for a path: lower-case
    letters, digits, ``.``, ``_`` and ``-``, unique in a run), ``name`` what people read (any text).
    ``sources`` maps implementation -> source text. ``notes`` are sentences for the student that
    cost nothing (a magic dropped, a later attempt used), ``faults`` sentences that explain why
    something cannot be graded. ``submitted`` is an ISO 8601 time or empty; ``penalty`` the share of
    the score (0 to 1) that the rule for late work takes.
    """

    student: str
    name: str
    origin: str
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    submitted: str = ""
    late: bool = False
    penalty: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A checked output over training steps: what was expected and what came (float64 lists)."""

    expected: tuple[float, ...]
    got: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of a gradebook: an output or a construct of one implementation.

    ``id`` is ``pytorch: loss`` or ``tf2: must use tf.function``; ``kind`` ``output`` or
    ``construct``. ``earned`` of ``points`` is the mean over the hidden seeds. ``words`` says what
    was wrong without any hidden value; ``hidden`` the same with values (expected, got), for
    instructors and for students where ``--reveal`` allows. ``moved`` marks a check whose score
    changed between repeats.
    """

    id: str
    implementation: str
    kind: str
    output: str
    points: float
    earned: float
    verdict: str
    words: str = ""
    hidden: str = ""
    divergence: Divergence | None = None
    curve: Curve | None = None
    moved: bool = False

    @property
    def passed(self) -> bool:
        """True where every point was earned."""
        return self.earned >= self.points


@dataclass(frozen=True, kw_only=True)
class Grade:
    """One submission's result; ``score`` is after the late penalty, ``raw`` before.

    ``suspicious`` holds sentences for the instructor (an attempt that the sandbox stopped),
    ``unstable`` the ids of checks whose score changed between repeats. ``seconds`` is wall time in
    the sandbox, ``peak_memory_mb`` the largest of its cells, ``stdout`` the tail of what it
    printed: evidence, never a channel.
    """

    submission: Submission
    lab: str
    title: str
    score: float
    raw: float
    points: float
    checks: tuple[Check, ...]
    seeds: tuple[int, ...]
    seconds: float = 0.0
    peak_memory_mb: float | None = None
    stdout: str = ""
    stderr: str = ""
    suspicious: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
