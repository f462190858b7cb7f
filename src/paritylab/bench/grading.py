"""Figure (c): submissions per minute against one plain container per cell.

The measurement is ``benchgrading``'s; here it is repeated and put into the common table.
"""

from __future__ import annotations

from paritylab import benchgrading
from paritylab.bench.model import Figure, Target, Tell, ratio
from paritylab.benchgrading import Pace
from paritylab.grade.lanes import Isolation
from paritylab.grade.plan import Plan

FASTER = Target(least=benchgrading.FASTER)
ADDED = Target(below=benchgrading.ADDED_SECONDS)


def grading(
    plan: Plan, *, base: str, submissions: dict[Isolation, int], repeats: int, tell: Tell
) -> list[Figure]:
    """Measure the baseline and every isolation; raises EngineError for a wrong answer."""
    runs = [
        benchgrading.measure(plan, base=base, submissions=submissions, tell=tell)
        for _ in range(repeats)
    ]
    plain = [paces[0].per_minute for paces in runs]
    figures = []
    for place in range(1, len(runs[0])):
        paces = [run[place] for run in runs]
        figures.append(
            ratio(
                "c",
                f"{plan.lab.slug}: submissions a minute, {paces[0].name} against docker run",
                (f"{paces[0].name} /min", [pace.per_minute for pace in paces]),
                ("docker run per cell /min", plain),
                target=FASTER,
            )
        )
        figures.append(_added(paces))
    return figures


def _added(paces: list[Pace]) -> Figure:
    return Figure(
        letter="c",
        name=f"a core's time for one more submission, {paces[0].name}",
        unit="s",
        samples=tuple(pace.added or 0.0 for pace in paces),
        target=ADDED,
    )
