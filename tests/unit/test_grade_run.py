"""grade.run: on real local workers, with submissions that the tests wrote themselves."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import grade_here
import numpy as np
import pytest
from grade_here import RIGHT, plan_of, run, submission

from paritylab import scenarios
from paritylab.engines.base import Endpoint
from paritylab.engines.here import HereEngine
from paritylab.errors import EngineError, LabError
from paritylab.grade.lanes import Isolation
from paritylab.grade.run import Question, Watch, questions
from paritylab.grade.trial import unit_of, units_of
from paritylab.journal import Journal
from paritylab.model import WorkerKey
from paritylab.rubric import Constructs, Rubric
from paritylab.wire import Job, encode_job
from paritylab.worker import _descendants

KILLS_ITS_WORKER = "import os\nos.kill(os.getppid(), 9)\n" + RIGHT


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the journal goes."""
    return tmp_path / "journal.sqlite"


def units(journal: Path) -> dict[str, dict]:
    """What a journal holds."""
    with Journal(journal, kind="grade", facts=None, resume=True) as opened:
        return opened.done()


@pytest.mark.parametrize("isolation", list(Isolation))
def test_everyone_gets_what_they_earned(project: Path, journal: Path, isolation: Isolation) -> None:
    """Right, wrong, broken, killing its worker, nothing handed in: each its own score."""
    found = run(
        [
            submission("amy"),
            submission("bob", RIGHT.replace("inputs['rounds']", "0")),
            submission("cyd", "def run(inputs, workdir):\n    raise ValueError(inputs['x'])\n"),
            submission("dot", KILLS_ITS_WORKER),
            replace(submission("eva"), sources={}, faults=("no file",)),
            submission("fay"),
        ],
        plan_of(project),
        journal,
        isolation,
    )
    assert {g.submission.student: g.score for g in found} == {
        "amy": 3.0, "bob": 2.0, "cyd": 0.0, "dot": 0.0, "eva": 0.0, "fay": 3.0,
    }  # fmt: skip
    words = {g.submission.student: {c.words for c in g.checks} for g in found}
    assert "ValueError (pytorch.py, line 2)" in words["cyd"]
    assert "no file" in str(words["eva"])
    dot = next(g for g in found if g.submission.student == "dot")
    assert "brought down its worker" in str(words["dot"])
    assert "gave no answer" in str(dot.suspicious)
    assert [g.facts["ungraded"] for g in found] == [[]] * 6


def test_the_oracle_is_asked_after_the_answer(project: Path, journal: Path, tmp_path: Path) -> None:
    """While a submission computes, its answers do not exist yet."""
    mark = tmp_path / "asked"
    scenario = project / "labs/double/scenario.py"
    text = scenario.read_text()
    scenario.write_text(
        text.replace(
            "def oracle(inputs):\n", f"def oracle(inputs):\n    open({str(mark)!r}, 'a')\n"
        )
    )
    looks = f"import os\nassert not os.path.exists({str(mark)!r})\n{RIGHT}"
    (found,) = run([submission("amy", looks)], plan_of(project, seeds=(3,)), journal)
    assert found.score == 3.0
    assert mark.exists()


def test_nothing_that_is_sent_holds_seed_or_student(project: Path, monkeypatch) -> None:
    """The frame of a job is all that a container gets: neither data seed nor name is in it."""
    seed, plan = 3_141_592_653, plan_of(project)
    sent: list[bytes] = []

    def kept(job: Job) -> bytes:
        sent.append(encode_job(job))
        return sent[-1]

    monkeypatch.setattr("paritylab.wire.encode_job", kept)
    run([submission("someone")], replace(plan, seeds=(seed,)), project / "journal.sqlite")
    (frame,) = sent
    for text in (str(seed), hex(seed)[2:], "someone"):
        assert text.encode() not in frame.lower()
    for order in ("little", "big"):
        assert seed.to_bytes(4, order) not in frame
    assert scenarios.pose(plan.lab, seed)["x"].tobytes() in frame


def test_all_get_the_same_questions(project: Path, journal: Path) -> None:
    """Fair: two submissions of a run see the same inputs, two seeds differ."""
    plan = plan_of(project)
    tells = "def run(inputs, workdir):\n    print(inputs['x'])\n    return {}\n"
    run([submission("amy", tells), submission("bob", tells)], plan, journal)
    printed = {unit: payload["stdout"] for unit, payload in units(journal).items()}
    assert len(printed) == 4
    for seed in plan.seeds:
        (x,) = {printed[unit_of(name, "pytorch", seed, 0)] for name in ("amy", "bob")}
        assert x == f"{scenarios.pose(plan.lab, seed)['x']}\n"
    assert len(set(printed.values())) == 2


def test_a_changed_source_is_graded_again_and_nothing_else(project: Path, journal: Path) -> None:
    """A second run runs what is new; the old answer of another source does not count."""
    asked: list[str] = []
    watch = Watch(done=lambda question, _: asked.append(question.unit))
    plan = plan_of(project)
    run([submission("amy"), submission("bob", "x = 1\n")], plan, journal, watch=watch)
    assert len(asked) == 4
    asked.clear()
    found = run([submission("amy"), submission("bob")], plan, journal, watch=watch)
    assert sorted(asked) == [f"bob/pytorch/{seed}/0" for seed in plan.seeds]
    assert [g.score for g in found] == [3.0, 3.0]


def test_what_moves_between_repeats_is_named(project: Path, journal: Path) -> None:
    """A score that hangs on the framework's seed is flagged, with the output that moved."""
    moves = RIGHT.replace("inputs['rounds']", "int(np.random.rand() > 0.5)")
    found = run(
        [submission("amy", "import numpy as np\n" + moves), submission("bob")],
        plan_of(project, repeats=2, seeds=(3,)),
        journal,
    )
    assert np.random.RandomState(0).rand() > 0.5 > np.random.RandomState(1).rand()
    assert [g.unstable for g in found] == [("pytorch: rounds",), ()]
    assert found[0].score == 2.5


def test_forbidden_code_is_not_even_run(project: Path, journal: Path, tmp_path: Path) -> None:
    """A forbidden construct zeroes the implementation, and says which line."""
    plan = plan_of(project)
    rubric = Rubric(
        implementations=("pytorch",), environment="tiny", seeds=2,
        constructs={"pytorch": Constructs(forbid=("scenario",))},
    )  # fmt: skip
    plan = replace(plan, lab=replace(plan.lab, rubric=rubric))
    ran = tmp_path / "ran"
    source = f"open({str(ran)!r}, 'w')\nimport scenario\n{RIGHT}"
    (found,) = run([submission("amy", source)], plan, journal)
    assert (found.score, ran.exists(), units(journal)) == (0.0, False, {})
    assert "line 2: imports `scenario`" in found.checks[0].words


class Failing(HereEngine):
    """An engine that starts nothing."""

    def start(self, key: WorkerKey) -> Endpoint:  # noqa: ARG002
        """Raise what an engine in trouble raises."""
        raise EngineError("the disk is full")


@pytest.mark.parametrize("isolation", list(Isolation))
def test_trouble_with_the_engine_is_nobodys_zero(
    project: Path, journal: Path, isolation: Isolation
) -> None:
    """What could not be run is told, is in no journal, and is run when the engine is well."""
    told: list[object] = []
    watch = Watch(done=lambda _, answer: told.append(answer))
    found = run(
        [submission(name) for name in ("amy", "bob", "cyd")], plan_of(project), journal,
        isolation, engine=lambda _: Failing(), watch=watch,
    )  # fmt: skip
    assert {c.verdict for g in found for c in g.checks} == {"not graded"}
    assert {str(g.facts["ungraded"]) for g in found} == {"['the disk is full']"}
    assert len(told) == 6
    assert all(isinstance(one, LabError) for one in told)
    assert units(journal) == {}
    again = run([submission(name) for name in ("amy", "bob", "cyd")], plan_of(project), journal)
    assert [g.score for g in again] == [3.0] * 3


def test_an_engine_that_dies_in_the_middle_is_not_the_students_doing(
    project: Path, journal: Path
) -> None:
    """A worker lost, and no other to be had: not graded, whatever the submission did."""
    opened: list[HereEngine] = []

    def engine(_: Isolation) -> HereEngine:
        opened.append(HereEngine() if not opened else Failing())
        return opened[-1]

    plan = plan_of(project, jobs=1, seeds=(3,))
    (found,) = run([submission("amy", KILLS_ITS_WORKER)], plan, journal, engine=engine)
    assert found.facts["ungraded"] == ["the disk is full"]
    assert units(journal) == {}


def test_units_of_one_student_are_nobody_elses() -> None:
    """Forgetting `amy` leaves `amy2` alone."""
    assert not unit_of("amy2", "tf2", 1, 0).startswith(units_of("amy"))
    assert unit_of("amy", "tf2", 1, 0).startswith(units_of("amy"))


def start(project: Path, journal: Path, log: Path, students: int) -> subprocess.Popen[str]:
    """A grading run as a process of its own."""
    command = [sys.executable, grade_here.__file__, project, journal, log, students]
    return subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines(log: Path) -> list[str]:
    """Who ran, in order."""
    return log.read_text().splitlines() if log.exists() else []


def wait_for(log: Path, count: int) -> None:
    """Wait until so many trials have begun."""
    deadline = time.monotonic() + 60
    while len(lines(log)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_at_any_point_nothing_is_lost_or_graded_twice(
    project: Path, journal: Path, tmp_path: Path
) -> None:
    """kill -9 several times over: what was recorded is not run again, the rest is; all are right.

    A killed run loses at most what was running: two trials, as two run at a time.
    """
    log, done = tmp_path / "log", {}
    for kill in range(2):
        process = start(project, journal, log, 4)
        wait_for(log, len(lines(log)) + 2 + kill)
        process.kill()
        process.communicate()
        kept = units(journal)
        assert kept.items() >= done.items()
        done = kept
    before = Counter(lines(log))
    output, errors = start(project, journal, log, 4).communicate(timeout=120)
    assert output.splitlines() == [f"s{number:02} 3.0 3.0" for number in range(4)], errors
    final = units(journal)
    assert len(final) == 8
    assert final.items() >= done.items()
    recorded = Counter(unit.partition("/")[0] for unit in done)
    for name, count in Counter(lines(log)).items():
        assert count - before[name] == 2 - recorded[name], name
    assert len(lines(log)) <= 8 + 2 * 2


def test_interrupted_it_leaves_a_journal_and_no_process(
    project: Path, journal: Path, tmp_path: Path
) -> None:
    """Ctrl-C in the middle: soon over, no worker left, and the next run goes on."""
    log = tmp_path / "log"
    process = start(project, journal, log, 6)
    wait_for(log, 3)
    below = _descendants(process.pid)
    assert below
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert time.monotonic() - pressed < 10
    deadline = time.monotonic() + 5
    while left := [pid for pid in below if os.path.exists(f"/proc/{pid}")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    done = units(journal)
    assert 0 < len(done) < 12
    assert all(payload["status"] == "ok" for payload in done.values())
    output, _ = start(project, journal, log, 6).communicate(timeout=120)
    assert output.count("3.0 3.0") == 6


def test_a_rubrics_order_is_kept(project: Path) -> None:
    """Trials come implementation by implementation, seed by seed, repeat by repeat."""
    both = replace(submission("amy"), sources={"tf2": RIGHT, "pytorch": RIGHT})
    plan = plan_of(project, implementations=("pytorch", "tf2"), repeats=2)
    found: list[Question] = list(questions(both, plan))
    assert [(q.implementation, q.seed, q.repeat) for q in found] == [
        (name, seed, repeat) for name in ("pytorch", "tf2") for seed in (3, 4) for repeat in (0, 1)
    ]
