"""The instructor's page: the class at a glance, and what needs a human eye. Not for students."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any
from urllib.parse import quote

from paritylab.grade.model import Grade, Reveal
from paritylab.grade.outputs.feedback import kind_of
from paritylab.grade.outputs.similar import Pair
from paritylab.html import render
from paritylab.html.figures import histogram

PAIRS_SHOWN = 100
CODE_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Hardness:
    """How a class did on one check: the mean share of its points, and what went wrong most."""

    id: str
    points: float
    share: float
    passed: int
    total: int
    reason: str


def page(
    grades: Sequence[Grade],
    alike: Sequence[Pair],
    *,
    reveal: Reveal,
    facts: Mapping[str, Any],
) -> str:
    """Return the page of a whole class; it links to ``feedback/<student>.html``."""
    ordered = sorted(grades, key=lambda grade: grade.submission.student)
    by_student = {grade.submission.student: grade for grade in ordered}
    most = max((grade.points for grade in ordered), default=0.0)
    scores = [grade.score for grade in ordered]
    return render(
        "instructor.html.j2",
        title=ordered[0].title if ordered else "Nothing was handed in",
        grades=ordered,
        most=most,
        mean=mean(scores) if scores else None,
        median=median(scores) if scores else None,
        full=sum(grade.points > 0 and grade.raw >= grade.points for grade in ordered),
        nothing=sum(grade.raw == 0 for grade in ordered),
        figure=histogram(scores, title="Scores", unit="points", limits=(0.0, most or 1.0), bins=20),
        hardest=hardest(ordered),
        faulty=[g for g in ordered if g.submission.faults],
        ungraded=[g for g in ordered if g.facts.get("ungraded")],
        late=[g for g in ordered if g.submission.late or g.submission.penalty],
        unstable=[g for g in ordered if g.unstable],
        suspicious=[g for g in ordered if g.suspicious],
        alike=alike[:PAIRS_SHOWN],
        alike_total=len(alike),
        code=[(pair, _code(by_student, pair)) for pair in alike[:CODE_SHOWN]],
        by_student=by_student,
        seeds=sorted({seed for grade in ordered for seed in grade.seeds}),
        reveal=reveal,
        facts={n: _said(v) for n, v in facts.items() if n not in ("seeds", "reveal")},
        link=lambda student: f"feedback/{quote(student)}.html",
        kind_of=kind_of,
    )


def hardest(grades: Sequence[Grade]) -> list[Hardness]:
    """The checks that carry points, the hardest first."""
    by_id: dict[str, list[Any]] = {}
    for grade in grades:
        for check in grade.checks:
            if check.points:
                by_id.setdefault(check.id, []).append(check)
    found = []
    for name, checks in by_id.items():
        wrong = Counter(check.verdict for check in checks if not check.passed)
        found.append(
            Hardness(
                id=name,
                points=checks[0].points,
                share=mean(check.earned / check.points for check in checks),
                passed=sum(check.passed for check in checks),
                total=len(checks),
                reason=", ".join(f"{number} {verdict}" for verdict, number in wrong.most_common(3)),
            )
        )
    return sorted(found, key=lambda one: (one.share, one.id))


def _code(by_student: Mapping[str, Grade], pair: Pair) -> tuple[str, str]:
    """The two programs, for an eye to judge."""
    first, second = (
        by_student[student].submission.sources[pair.implementation]
        for student in (pair.first, pair.second)
    )
    return first, second


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_said(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_said(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
