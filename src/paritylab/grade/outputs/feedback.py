"""The page that a student gets: what each check found, in words, and in values where allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from paritylab.grade.model import Check, Grade, Reveal
from paritylab.grade.outputs.revealing import shows_prints, shows_seeds, shows_values
from paritylab.html import render
from paritylab.html.figures import curves

TAIL = 6000
"""Characters of each stream's end that a page shows."""
KINDS = {"passed": "passed", "used": "passed", "partial": "partial", "not graded": "skipped"}
KINDS |= {"timeout": "timeout", "killed": "killed"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A check as the page shows it; ``kind`` is its colour, ``values`` whether it may tell any."""

    check: Check
    kind: str
    values: bool
    figure: Markup | None


def page(grade: Grade, reveal: Reveal) -> str:
    """Return one student's page; nothing in it depends on another student's grade."""
    lines = [_line(check, reveal) for check in grade.checks]
    prints = shows_prints(grade, reveal)
    return render(
        "feedback.html.j2",
        grade=grade,
        handed=grade.submission,
        parts=_by_implementation(lines),
        passed=sum(line.check.passed for line in lines if line.check.points),
        counted=sum(bool(line.check.points) for line in lines),
        kept_back=any(not line.values and not line.check.passed for line in lines),
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


def _line(check: Check, reveal: Reveal) -> Line:
    values = shows_values(check, reveal)
    figure = None
    if values and check.curve:
        figure = curves(
            check.curve.expected, {"yours": check.curve.got}, title=f"{check.id} over the steps"
        )
    return Line(check=check, kind=kind_of(check), values=values, figure=figure)


def _by_implementation(lines: Iterable[Line]) -> list[tuple[str, list[Line]]]:
    parts: dict[str, list[Line]] = {}
    for line in lines:
        parts.setdefault(line.check.implementation, []).append(line)
    return list(parts.items())
