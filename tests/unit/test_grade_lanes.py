"""grade.lanes: a supply of places, on local workers."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from grade_here import plan_of, run, submission

from paritylab.engines.base import Channel, Endpoint
from paritylab.engines.here import HereEngine
from paritylab.errors import EngineError, WorkerError
from paritylab.grade.lanes import Isolation, Lane, Lanes, Trouble
from paritylab.grade.plan import Plan
from paritylab.model import Limits
from paritylab.wire import Job, JobResult

SLEEPS = "import time\ndef run(inputs, workdir):\n    open({!r}, 'w').close()\n    time.sleep(60)\n"
QUICK = "import os\ndef run(inputs, workdir):\n    return {'parent': os.getppid()}\n"


class Counting(HereEngine):
    """Remembers that it was opened and closed."""

    opened = 0
    closed = 0

    def __init__(self) -> None:
        super().__init__()
        Counting.opened += 1

    def close(self) -> None:
        """End its workers."""
        Counting.closed += 1
        super().close()


@pytest.fixture
def plan(project: Path) -> Plan:
    """The fixture's lab."""
    return plan_of(project)


def supply(plan: Plan, isolation: Isolation, wanted: int, engine=Counting) -> Lanes:
    """Two lanes ahead."""
    Counting.opened = Counting.closed = 0
    keys = plan.worker_keys()
    return Lanes(lambda _: engine(), keys, isolation=isolation, ahead=2, wanted=wanted)


def job(source: str) -> Job:
    """A job of NumPy alone."""
    return Job(
        id="x", file="pytorch.py", source=source, stages=("run",), inputs={"x": np.arange(3.0)},
        limits=Limits(seconds=90.0), seed=0, profile="portable",
    )  # fmt: skip


def workers(lanes: Lanes, plan: Plan, times: int) -> list[object]:
    """Who ran each of so many submissions' jobs."""
    found = []
    (key,) = plan.worker_keys()
    for _ in range(times):
        with lanes.borrow() as lane:
            answer = lane.run(key, job(QUICK))
            assert isinstance(answer, JobResult)
            found.append(lane)
    return found


def test_a_container_serves_one_submission(plan: Plan) -> None:
    """As many are made as are wanted, none is used twice, all are gone in the end."""
    with supply(plan, Isolation.CONTAINER, 4) as lanes:
        assert len(set(map(id, workers(lanes, plan, 4)))) == 4
    assert Counting.opened == 4
    assert Counting.closed >= 4


def test_a_lane_that_is_well_serves_again_and_a_spoilt_one_is_replaced(plan: Plan) -> None:
    """Two lanes for six submissions; the one that lost its worker is not seen again."""
    with supply(plan, Isolation.FORK, 6) as lanes:
        first = workers(lanes, plan, 6)
        assert len(set(map(id, first))) == Counting.opened == 2
        with lanes.borrow() as spoilt:
            spoilt.spoilt = True
        assert id(spoilt) not in set(map(id, workers(lanes, plan, 4)))
    assert Counting.opened == 3


def test_closing_ends_what_runs(plan: Plan, tmp_path: Path) -> None:
    """A job that would take a minute is over when the supply is closed, and so is the wait."""
    began = tmp_path / "began"
    lanes = supply(plan, Isolation.CONTAINER, 3)
    (key,) = plan.worker_keys()
    answers: list[object] = []

    def sit() -> None:
        with lanes.borrow() as lane:
            answers.append(lane.run(key, job(SLEEPS.format(str(began)))))

    thread = threading.Thread(target=sit)
    with lanes:
        thread.start()
        deadline = time.monotonic() + 60
        while not began.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert began.exists()
        begun = time.monotonic()
    thread.join(20)
    assert not thread.is_alive()
    assert time.monotonic() - begun < 20
    assert isinstance(answers[0], Trouble)
    with pytest.raises(EngineError, match="stopping"), lanes.borrow():
        pass


class Unreachable(HereEngine):
    """Starts workers that nobody can talk to."""

    def connect(self, endpoint: Endpoint) -> Channel:  # noqa: ARG002
        """Raise what a lost connection raises."""
        raise WorkerError("no worker answers")


def test_a_worker_that_never_took_the_job_is_not_the_students_doing(
    plan: Plan, tmp_path: Path
) -> None:
    """No answer twice, without the code having been asked: not graded, and no zero."""
    (found,) = run(
        [submission("amy")], plan, tmp_path / "journal.sqlite", engine=lambda _: Unreachable()
    )
    assert found.facts["ungraded"] == ["no worker answers"]
    assert {check.verdict for check in found.checks} == {"not graded"}


def test_a_lane_tells_whether_its_worker_had_taken_the_job(plan: Plan) -> None:
    """Trouble says who may be to blame."""
    (key,) = plan.worker_keys()
    lane = Lane(Unreachable(), [key]).prepare()
    answer = lane.run(key, job(QUICK))
    assert isinstance(answer, Trouble)
    assert (answer.taken, lane.spoilt) == (False, True)
    lane.close()
