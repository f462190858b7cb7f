"""Jobs that run somewhere else: what is asked, what comes back, and who may be asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Protocol

from paritylab.gpurun import Answer
from paritylab.runner import Executed
from paritylab.stacks import WorkerKey
from paritylab.wire import Job

BATCH = 16
"""Errands that go together at most: what a host that dies costs, and what shares a warm worker."""
AHEAD = 2
"""Batches that are on their way for each place."""
UNDER_WAY = 1_000_000_000
"""Bytes of orders that are on their way at most: a cluster's scheduler holds them in memory."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A job that is to run on a worker, somewhere; ``id`` is unique within a run.

    ``cold`` gives it a fresh worker of its own; ``apart`` names those that share one among
    themselves and with nobody else.
    """

    id: str
    key: WorkerKey
    job: Job
    on_gpu: bool = False
    cold: bool = False
    apart: str = ""


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


def batches(errands: Iterable[Errand], size: Callable[[], int]) -> Iterator[tuple[Errand, ...]]:
    """Errands that follow each other and need the same worker, at most so many together.

    ``size`` is asked for each batch: a cluster grows while it works.
    """
    for _, group in groupby(errands, key=lambda one: (one.key.name, one.apart, one.cold)):
        while some := tuple(islice(group, size())):
            yield some


def batch_size(errands: int, places: int) -> int:
    """How many errands go together: every place has something to do, twice over."""
    return max(1, min(BATCH, math.ceil(errands / (AHEAD * places))))


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
