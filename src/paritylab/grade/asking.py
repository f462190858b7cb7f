"""A submission's jobs, one after another in a lane of its own; once more where no answer came."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from paritylab.errors import HungUpError
from paritylab.grade.lanes import Lane, Lanes, Trouble
from paritylab.model import WorkerKey
from paritylab.wire import Job, JobResult
from paritylab.worker import MalformedError

ATTEMPTS = 2


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a job gave: ``wall`` seconds until then, and the ``trouble`` before it, if any."""

    answer: JobResult
    wall: float
    trouble: str = ""


def replies(
    jobs: Iterable[tuple[WorkerKey, Job]], lanes: Lanes, stopping: Callable[[], bool]
) -> Generator[Reply, None, None]:
    """Yield a reply for each job; the next one is run when the next one is asked for.

    A job without an answer is run once more, alone in a fresh container. If that brings down its
    worker too, while a third container starts well, the submission is to blame. Raises EngineError
    for what is not its doing, and while ``stopping``.
    """
    with ExitStack() as stack:
        lane = stack.enter_context(lanes.borrow())
        for key, job in jobs:
            troubles: list[Trouble] = []
            while True:
                answer = lane.run(key, job)
                wall = lane.waited
                if isinstance(answer, JobResult):
                    break
                if stopping():
                    raise answer.fault
                troubles.append(answer)
                lane = _fresh(lane, lanes, stack)
                if len(troubles) == ATTEMPTS:
                    answer = _blamed(troubles)
                    break
            told = troubles[0].fault.what if troubles else ""
            yield Reply(answer=answer, wall=wall, trouble=told)


def _fresh(lane: Lane, lanes: Lanes, stack: ExitStack) -> Lane:
    lane.close()  # whatever still runs in it takes the machine from the others
    return stack.enter_context(lanes.fresh())


def _blamed(troubles: Sequence[Trouble]) -> JobResult:
    """The answer in place of one that never came; raises the fault that is not the job's doing."""
    for trouble in troubles:
        lost = isinstance(trouble.fault, HungUpError) or isinstance(
            trouble.fault.__cause__, TimeoutError | MalformedError
        )
        if not (trouble.taken and lost):
            raise trouble.fault
    late = all(isinstance(trouble.fault.__cause__, TimeoutError) for trouble in troubles)
    cause = f"it brought down its worker {ATTEMPTS} times, the second time alone in its container"
    return JobResult(status="timeout" if late else "killed", cause=cause)
