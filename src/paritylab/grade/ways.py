"""Where submissions are graded: in sandboxes of this machine, or on the hosts of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from paritylab.errands import Desk
from paritylab.grade.lanes import Isolation, Lanes
from paritylab.grade.model import Grade, Submission
from paritylab.grade.plan import Plan
from paritylab.grade.run import Watch, grade, grade_at
from paritylab.grade.sandboxes import Sandboxes
from paritylab.journal import Journal


@dataclass(frozen=True, kw_only=True)
class Way:
    """How submissions are graded, and what is to be told of it afterwards."""

    grade: Callable[[Sequence[Submission], Plan, Journal, Watch], list[Grade]]
    facts: Callable[[], dict[str, Any]]


def here(boxes: Sandboxes, plan: Plan, isolation: Isolation, progress: Progress | None) -> Way:
    """Sandboxes of this machine's engine; their image is made now."""
    keys = plan.worker_keys()
    image = boxes.prepare(keys, progress)

    def lanes(wanted: int) -> Lanes:
        return Lanes(boxes.open, keys, isolation=isolation, ahead=plan.jobs, wanted=wanted)

    def graded(
        chosen: Sequence[Submission], plan: Plan, journal: Journal, watch: Watch
    ) -> list[Grade]:
        return grade(chosen, plan, journal, lanes, watch)

    return Way(grade=graded, facts=lambda: {"image": image})


def elsewhere(desk: Desk) -> Way:
    """The hosts behind a desk."""

    def graded(
        chosen: Sequence[Submission], plan: Plan, journal: Journal, watch: Watch
    ) -> list[Grade]:
        return grade_at(chosen, plan, journal, desk, watch)

    def facts() -> dict[str, Any]:
        return {"image": ", ".join(desk.images.values()), "hosts": dict(desk.hosts)}

    return Way(grade=graded, facts=facts)
