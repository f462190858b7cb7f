"""An audit's runs on the hosts of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from paritylab.audit.tasks import Ran, Task, ran
from paritylab.errands import Desk, Errand, batch_size, batches
from paritylab.errors import LabError


def run_there(  # noqa: PLR0913 - what, where, how, and whom to tell
    tasks: Sequence[Task],
    desk: Desk,
    errand: Callable[[Task], Errand | Ran],
    *,
    engine: str,
    ran_on: Callable[[str, Iterable[str]], None],
    done: Callable[[Ran], None],
) -> None:
    """Run tasks on a desk's hosts, whose engine is ``engine``; ``errand`` makes a task one.

    ``ran_on`` is told the class of the CPU of each run, and the hosts so far, before ``done`` is.
    """
    asked: dict[str, Task] = {}

    def errands() -> Iterator[Errand]:
        for task in tasks:
            found = _there(task, errand, engine)
            if isinstance(found, Ran):
                done(found)
            else:
                asked[found.id] = task
                yield found

    for report in desk.reports(batches(errands(), lambda: batch_size(len(tasks), desk.places))):
        if report.executed.cpu:
            ran_on(report.executed.cpu, desk.hosts)
        done(ran(asked.pop(report.id), report.answer, {}))


def _there(task: Task, errand: Callable[[Task], Errand | Ran], engine: str) -> Errand | Ran:
    other = task.condition.engine
    if other and other != engine:
        why = f"the hosts of a cluster have one engine, {engine}"
        fix = "ask for this variation without --cluster"
        return Ran(task=task, answer=None, why=why, fix=fix, seen={})
    try:
        return errand(task)
    except LabError as fault:
        return ran(task, fault, {})
