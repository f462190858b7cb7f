"""A grading run on local workers, without Docker, as a program that tests can kill.

``python grade_here.py PROJECT JOURNAL LOG STUDENTS`` grades the fixture's lab; every run of a
submission's code writes a line to LOG. Trusted sources only: local workers are no sandbox.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from paritylab import catalog
from paritylab.engines.base import Engine
from paritylab.engines.here import HereEngine
from paritylab.grade.lanes import Isolation, Lanes
from paritylab.grade.model import Grade, Submission
from paritylab.grade.plan import Plan
from paritylab.grade.run import Watch, grade
from paritylab.journal import Journal

RIGHT = (
    "def run(inputs, workdir):\n"
    "    return {'doubled': inputs['x'] * 2, 'rounds': inputs['rounds'], 'style': 'eager'}\n"
)


def plan_of(project: Path, **more: object) -> Plan:
    """The fixture's lab, its PyTorch part, two seeds, two submissions at a time."""
    loaded = catalog.load(project)
    lab = loaded.labs["double"]
    plan = Plan(
        lab=replace(lab, limits=replace(lab.limits, seconds=20.0)),
        environment=loaded.environments["tiny"],
        implementations=("pytorch",),
        seeds=(3, 4),
        jobs=2,
    )
    return replace(plan, **more)


def submission(student: str, source: str = RIGHT) -> Submission:
    """A PyTorch submission."""
    return Submission(
        student=student, name=student.title(), origin=student, sources={"pytorch": source}
    )


def run(  # noqa: PLR0917 - what each test varies
    submissions: list[Submission],
    plan: Plan,
    journal: Path,
    isolation: Isolation = Isolation.CONTAINER,
    engine: Callable[[Isolation], Engine] = lambda _: HereEngine(),
    watch: Watch | None = None,
) -> list[Grade]:
    """Grade on local workers, with a journal that is begun or continued."""

    def lanes(wanted: int) -> Lanes:
        return Lanes(
            engine, plan.worker_keys(), isolation=isolation, ahead=plan.jobs, wanted=wanted
        )

    facts = {"seeds": list(plan.seeds)}
    with Journal(journal, kind="grade", facts=facts, resume=journal.exists()) as opened:
        return grade(submissions, plan, opened, lanes, watch)


def slow(log: Path, student: str) -> str:
    """A right answer that leaves a line in the log and takes its time."""
    return (
        "import time\n"
        f"open({str(log)!r}, 'a').write({student + chr(10)!r})\n"
        f"time.sleep(0.1)\n{RIGHT}"
    )


def main() -> None:
    """Grade so many students."""
    project, journal, log, students = sys.argv[1:]
    names = [f"s{number:02}" for number in range(int(students))]
    found = run(
        [submission(name, slow(Path(log), name)) for name in names],
        plan_of(Path(project)),
        Path(journal),
        Isolation.FORK,
    )
    for one in found:
        print(one.submission.student, one.score, one.points)


if __name__ == "__main__":
    main()
