"""Grading by way of a desk: marks and journal of one machine, and nothing secret on the way."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest
from grade_here import RIGHT, plan_of, run, submission

from paritylab.cluster import messages
from paritylab.engines.here import HereEngine
from paritylab.errands import Errand, Report
from paritylab.errors import DockerError, EngineError
from paritylab.grade.asking import replies
from paritylab.grade.lanes import Isolation, Lanes
from paritylab.grade.plan import Plan
from paritylab.grade.run import grade_at
from paritylab.journal import Journal
from paritylab.runner import Executed

WRONG = RIGHT.replace("* 2", "* 3")
BROKEN = "def run(inputs, workdir):\n    raise ValueError('no')\n"


class ByBytes:
    """A desk whose host is this process: every message is packed and read as if it travelled.

    ``silent`` are submissions that no host can run, by their place.
    """

    def __init__(self, plan: Plan, silent: Sequence[int] = ()) -> None:
        self.plan, self.silent = plan, silent
        self.images: dict[str, str] = {}
        self.hosts: dict[str, int] = {}
        self.sent: list[bytes] = []
        self.places = 1

    def reports(self, batches: Iterable[Sequence[Errand]]) -> Iterator[Report]:
        """See errands.Desk; a lane for each batch, and the batches in reverse order."""
        self.sent = [b"".join(map(messages.pack_errand, batch)) for batch in batches]
        keys = self.plan.worker_keys()
        lanes = Lanes(
            lambda _: HereEngine(), keys, isolation=Isolation.CONTAINER, ahead=1, wanted=99
        )
        with lanes:
            for number, message in reversed(list(enumerate(self.sent))):
                yield from self._batch(message, lanes, silent=number in self.silent)

    def _batch(self, message: bytes, lanes: Lanes, *, silent: bool) -> Iterator[Report]:
        errands = messages.read_errands(message, lambda _: self.plan.environment)
        if silent:
            for errand in errands:
                executed = Executed(answer=DockerError("no engine"), versions={})
                yield Report(id=errand.id, executed=executed, host="h", seconds=0.0)
            return
        jobs = [(errand.key, errand.job) for errand in errands]
        for errand, reply in zip(errands, replies(jobs, lanes, lambda: False), strict=True):
            executed = Executed(answer=reply.answer, versions={})
            report = Report(id=errand.id, executed=executed, host="h", seconds=reply.wall)
            yield from messages.read_reports(messages.pack_report(report), [errand.id])


@pytest.fixture
def plan(project: Path) -> Plan:
    """Two hidden seeds that are easy to find in a message."""
    return dataclasses.replace(plan_of(project), seeds=(1234567891, 2345678912))


def graded(plan: Plan, journal: Path, desk: ByBytes) -> tuple[list[tuple], dict]:
    """Grades and journal of three submissions by way of a desk."""
    with Journal(journal, kind="grade", facts={}, resume=journal.exists()) as opened:
        found = grade_at(SUBMISSIONS, plan, opened, desk)
        return [marks(one) for one in found], units(opened)


def marks(grade) -> tuple:
    """All of a grade that must not depend on where it was earned."""
    return grade.submission.student, grade.score, grade.points, tuple(grade.suspicious)


def units(journal: Journal) -> dict:
    """The journal without what is measured."""
    measured = ("seconds", "wall", "peak_memory_mb")
    return {
        unit: {name: value for name, value in payload.items() if name not in measured}
        for unit, payload in journal.done().items()
    }


SUBMISSIONS = [submission("ann"), submission("bob", WRONG), submission("cleo", BROKEN)]


def test_grades_and_journal_are_those_of_one_machine(plan: Plan, tmp_path: Path) -> None:
    """Answers come in another order; marks, students and units of the journal are the same."""
    there, there_units = graded(plan, tmp_path / "there.sqlite", ByBytes(plan))
    here = [marks(one) for one in run(SUBMISSIONS, plan, tmp_path / "here.sqlite")]
    with Journal(tmp_path / "here.sqlite", kind="grade", facts=None, resume=True) as journal:
        assert there_units == units(journal)
    assert there == here
    assert [one[1] > 0 for one in there] == [True, there[1][1] > 0, False]
    assert there[0][1] == there[0][2] > there[1][1]


def test_no_seed_and_no_student_leaves_this_machine(plan: Plan, tmp_path: Path) -> None:
    """Hosts see programs and inputs; who wrote them, and from which seed, they are not told."""
    desk = ByBytes(plan)
    graded(plan, tmp_path / "journal.sqlite", desk)
    assert len(desk.sent) == 3
    for secret in ("ann", "bob", "cleo", *map(str, plan.seeds)):
        assert not [one for one in desk.sent if f'"{secret}'.encode() in one], secret
        assert not [one for one in desk.sent if f":{secret}".encode() in one], secret


def test_what_no_host_could_run_is_no_zero_and_resumes(plan: Plan, tmp_path: Path) -> None:
    """Trouble of a cluster is told and in no journal; the next run asks exactly that again."""
    journal = tmp_path / "journal.sqlite"
    _, first = graded(plan, journal, ByBytes(plan, silent=[1]))
    assert {unit.partition("/")[0] for unit in first} == {"ann", "cleo"}
    desk = ByBytes(plan)
    _, then = graded(plan, journal, desk)
    assert len(desk.sent) == 1
    assert {unit.partition("/")[0] for unit in then} == {"ann", "bob", "cleo"}
    assert {unit: then[unit] for unit in first} == first


class Lost(ByBytes):
    """A desk that ends with ``fault`` when ``told`` answers have come."""

    def __init__(self, plan: Plan, told: int, fault: BaseException) -> None:
        super().__init__(plan)
        self.told, self.fault = told, fault

    def reports(self, batches: Iterable[Sequence[Errand]]) -> Iterator[Report]:
        """See errands.Desk."""
        yield from islice(super().reports(batches), self.told)
        raise self.fault


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), EngineError("the cluster is gone")])
def test_what_has_ended_is_kept_when_the_cluster_is_lost(
    plan: Plan, tmp_path: Path, fault: BaseException
) -> None:
    """Ctrl-C in the middle of a submission: its answered trials are in the journal, and resume."""
    journal = tmp_path / "journal.sqlite"
    with pytest.raises(type(fault)):
        graded(plan, journal, Lost(plan, 3, fault))
    with Journal(journal, kind="grade", facts=None, resume=True) as opened:
        assert len(opened.done()) == 3
    desk = ByBytes(plan)
    found, done = graded(plan, journal, desk)
    assert len(done) == 6
    assert sum(message.count(b'"kind":"order"') for message in desk.sent) == 3
    assert found == graded(plan, tmp_path / "whole.sqlite", ByBytes(plan))[0]
