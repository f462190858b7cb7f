"""cluster.desk: whom it asks, and asks again; hosts that are stand-ins and answer at once."""

from collections.abc import Collection, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from clusters import many_cells
from distributed import KilledWorker

from paritylab.cluster import messages
from paritylab.cluster.cells import _errand
from paritylab.cluster.desk import DaskDesk
from paritylab.cluster.link import host_of
from paritylab.cluster.settings import Patience
from paritylab.engines.base import Unavailable
from paritylab.errands import Errand, Report
from paritylab.errors import DockerError, EngineError
from paritylab.gpurun import Answer
from paritylab.runner import Executed, Settings
from paritylab.wire import JobResult

HOSTS = [f"tcp://10.0.0.{number}:1" for number in range(10)]
NO_PYTHON = Unavailable(reason="it needs Python 3.7, which is not here", fix="install it")
FINE = JobResult(status="ok", values={})


class Landed(Future):
    """A task that has ended."""

    status = "finished"


class Hosts:
    """See link.Link: ten hosts, of which the first that may be asked is.

    ``asked`` are the addresses of those that were; ``answers`` says what each of them can.
    """

    up, patience = True, Patience()

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers, self.asked, self.renewed = answers, [], 0

    def await_places(self) -> int:
        """See Link."""
        return len(HOSTS)

    def workers(self, *, on_gpu: bool = False, avoid: Collection[str] = ()) -> set[str]:  # noqa: ARG002
        """See Link."""
        return {one for one in HOSTS if host_of(one) not in avoid}

    def submit(self, message: bytes, *, among: Collection[str], on_gpu: bool) -> Any:  # noqa: ARG002
        """See Link."""
        self.asked.append(min(among or HOSTS))
        answer = self.answers.get(self.asked[-1], NO_PYTHON)
        return self.landed(message, Executed(answer=answer, versions={}))

    def landed(self, message: bytes, executed: Executed) -> Landed:
        """The answer to each errand of a message."""
        future, better = Landed(), messages.may_do_better(executed.answer)
        reports = (
            Report(id=one, executed=executed, host=self.asked[-1], seconds=0.0, elsewhere=better)
            for one in messages.read_ids(message)
        )
        future.set_result(b"".join(map(messages.pack_report, reports)))
        return future

    def renew(self) -> None:
        """See Link."""
        self.renewed += 1

    def require(self, *, on_gpu: bool = False) -> None:
        """See Link."""

    def cancel(self, futures: list[Any]) -> None:
        """See Link."""

    def close(self) -> None:
        """See Link."""


@pytest.fixture
def batch(project: Path) -> list[Errand]:
    """Two cells."""
    return [_errand(cell, Settings()) for cell in many_cells(project, 1)]


def reports(hosts: Hosts, batch: list[Errand]) -> Iterator[Report]:
    """What a desk tells of one batch."""
    with DaskDesk(hosts) as desk:
        yield from desk.reports([batch])


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ({HOSTS[9]: FINE}, 10),
        ({}, 10),
        (dict.fromkeys(HOSTS, DockerError("no engine")), 3),
        ({HOSTS[0]: NO_PYTHON, **dict.fromkeys(HOSTS[1:], EngineError("no disk"))}, 4),
    ],
)
def test_a_host_that_lacks_what_it_takes_is_no_attempt(
    batch: list[Errand], answers: dict[str, Answer], asked: int
) -> None:
    """Python 3.7 is on one host of ten: it is found; hosts that fail are asked three in all."""
    hosts = Hosts(answers)
    (found,) = reports(hosts, batch[:1])
    assert hosts.asked == HOSTS[:asked]
    assert str(found.answer) == str(answers.get(HOSTS[asked - 1], NO_PYTHON))


class Killing(Hosts):
    """The batch kills its worker; the scheduler is gone when what was in it is asked again."""

    def submit(self, message: bytes, *, among: Collection[str], on_gpu: bool) -> Any:
        """See Link."""
        if not self.asked:
            self.asked.append(HOSTS[0])
            killed = Landed()
            killed.set_exception(KilledWorker("task", None, 0))
            return killed
        if not self.renewed:
            return None
        return super().submit(message, among=among, on_gpu=on_gpu)


def test_a_suspect_that_finds_the_scheduler_gone_is_no_lost_cell(batch: list[Errand]) -> None:
    """Nothing is under way while it is found again: that must not be taken for the end."""
    hosts = Killing(dict.fromkeys(HOSTS, FINE))
    assert sorted(one.id for one in reports(hosts, batch)) == sorted(one.id for one in batch)
    assert hosts.renewed == 1
