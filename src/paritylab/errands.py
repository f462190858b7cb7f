"""Jobs that run somewhere else: what is asked, what comes back, and who may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from paritylab.gpurun import Answer
from paritylab.runner import Executed
from paritylab.stacks import WorkerKey
from paritylab.wire import Job


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A job that is to run on a worker, somewhere; ``id`` is unique within a run."""

    id: str
    key: WorkerKey
    job: Job
    on_gpu: bool = False


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of an errand.

    ``host`` is where it ran; ``seconds`` the wall time there; ``image`` the image's id, or empty;
    ``trouble`` what went wrong before the answer came; ``elsewhere`` that another host may do
    better.
    """

    id: str
    executed: Executed
    host: str
    seconds: float
    image: str = ""
    trouble: str = ""
    elsewhere: bool = False

    @property
    def answer(self) -> Answer:
        """The answer, or why there is none."""
        return self.executed.answer


class Desk(Protocol):
    """Hands errands out to many machines.

    ``images`` tells, per environment and device, the ids of the images that were used; ``hosts``
    how many errands each host has answered.
    """

    images: dict[str, str]
    hosts: dict[str, int]

    @property
    def places(self) -> int:
        """How many errands run at a time, as far as is known."""

    def reports(self, batches: Iterable[Sequence[Errand]]) -> Iterator[Report]:
        """Yield one report for each errand, in whatever order they come.

        The errands of a batch run one after another in the same place. Batches are taken as there
        is room for them. Raises EngineError when nobody answers any more.
        """
