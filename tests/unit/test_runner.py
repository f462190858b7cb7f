"""runner: what a worker answers becomes the right verdict."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import with_cpu_bits

from paritylab import catalog
from paritylab.accept import accept
from paritylab.digest import digest
from paritylab.engines.base import Endpoint
from paritylab.engines.here import HereEngine
from paritylab.fleet import LocalFleet
from paritylab.judge import judge
from paritylab.matrix import Selection, cells
from paritylab.model import Cell, CellResult, CpuBits, Verdict, WorkerKey
from paritylab.runner import Runner, Settings, problem_of, run_all, worker_keys
from paritylab.scenarios import Problem
from paritylab.schema import RecordedDigest
from paritylab.wire import JobResult


@pytest.fixture
def cell(project: Path) -> Cell:
    """double-pytorch@tiny-cpu, with an accepted expected.json."""
    loaded = catalog.load(project)
    accept(loaded.labs["double"], [], []).write()
    return cells(loaded, Selection(implementations=("pytorch",)))[0]


@pytest.fixture
def problem(cell: Cell) -> Problem:
    """Inputs and expected values of the fixture lab."""
    return problem_of(cell.lab, Settings())


def values_of(problem: Problem) -> dict:
    """The right answer of the PyTorch implementation."""
    return {
        "doubled": 2 * problem.inputs["x"],
        "rounds": 1,
        "style": "eager",
    }


def verdict_of(cell: Cell, problem: Problem, answer: JobResult, *, strict: bool = False):
    """Judge one answer."""
    blank = CellResult(
        cell=cell.id,
        lab=cell.lab.slug,
        implementation=cell.implementation,
        environment=cell.environment.name,
        device=cell.device,
        profile="portable",
        verdict=Verdict.UNSUPPORTED,
    )
    return judge(blank, cell, answer, problem=problem, strict_bits=strict)


def with_digest(cell: Cell, problem: Problem, value: str, hardware: str | None = None) -> Problem:
    """The problem with one recorded digest (more) for this cell."""
    entry = RecordedDigest(
        implementation="pytorch",
        environment=cell.environment.name,
        device="cpu",
        profile="portable",
        lock=cell.environment.stacks["cpu"].lock_digest,
        hardware=hardware,
        digest=value,
    )
    return replace(problem, digests=(*problem.digests, entry))


def test_right_values_are_close_and_with_the_recorded_digest_identical(
    cell: Cell, problem: Problem
) -> None:
    """Without a recorded digest nothing can be `identical`."""
    values = values_of(problem)
    answer = JobResult(status="ok", values=values)
    assert verdict_of(cell, problem, answer).verdict is Verdict.CLOSE
    known = with_digest(cell, problem, digest(values))
    assert verdict_of(cell, known, answer).verdict is Verdict.IDENTICAL


def test_bits_that_were_recorded_on_other_cpus_alone_are_told_to_be(
    cell: Cell, problem: Problem
) -> None:
    """`close` on a processor that nobody had is no drift, and the reader learns why."""
    known = with_digest(cell, problem, "0" * 64, "Vendor-9")
    known = with_digest(cell, known, "1" * 64, "Other-8")
    answer = JobResult(status="ok", values=values_of(problem))
    found = verdict_of(with_cpu_bits(cell, CpuBits.FAMILY), known, answer, strict=True)
    assert (found.verdict, found.bit_drift) == (Verdict.CLOSE, False)
    assert found.message.startswith("no digest recorded for ")
    assert found.message.endswith(", only for Other-8 and Vendor-9")
    assert verdict_of(cell, known, answer).message == ""


def test_bit_drift_is_loud_and_red_only_when_strict(cell: Cell, problem: Problem) -> None:
    """Other bits within the tolerance: reported, and a failure with --strict-bits."""
    drifted = with_digest(cell, problem, "0" * 64)
    answer = JobResult(status="ok", values=values_of(problem))
    loose = verdict_of(cell, drifted, answer)
    assert (loose.verdict, loose.bit_drift) == (Verdict.CLOSE, True)
    assert loose.message.startswith("bit drift")
    assert verdict_of(cell, drifted, answer, strict=True).verdict is Verdict.DIVERGED


def test_a_recorded_digest_never_hides_wrong_values(cell: Cell, problem: Problem) -> None:
    """A digest that was recorded for wrong outputs does not make them green."""
    values = {**values_of(problem), "rounds": 2}
    known = with_digest(cell, problem, digest(values))
    result = verdict_of(cell, known, JobResult(status="ok", values=values))
    assert result.verdict is Verdict.DIVERGED
    assert "rounds: expected 1, got 2" in result.message


@pytest.mark.parametrize(
    ("answer", "verdict", "message"),
    [
        (JobResult(status="timeout"), Verdict.TIMEOUT, "limits.seconds"),
        (JobResult(status="killed", cause="signal SIGSEGV"), Verdict.KILLED, "SIGSEGV"),
        (
            JobResult(status="error", error_type="ValueError", message="no"),
            Verdict.FAILED,
            "ValueError: no",
        ),
        (JobResult(status="protocol", cause="lied"), Verdict.FAILED, "lied"),
        (JobResult(status="ok", values={}), Verdict.FAILED, "outputs.doubled: declared"),
    ],
)
def test_each_status_has_its_verdict(
    cell: Cell, problem: Problem, answer: JobResult, verdict: Verdict, message: str
) -> None:
    """No way of going wrong is green, and each says what happened."""
    result = verdict_of(cell, problem, answer)
    assert result.verdict is verdict
    assert message in result.message


def test_nan_diverges(cell: Cell, problem: Problem) -> None:
    """A NaN is a divergence at its index."""
    values = values_of(problem)
    values["doubled"][1] = np.nan
    result = verdict_of(cell, problem, JobResult(status="ok", values=values))
    assert result.verdict is Verdict.DIVERGED
    assert "doubled[1]" in result.message
    assert "got nan" in result.message


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_the_whole_fixture_matrix_runs_on_a_real_worker(project: Path, *, cold: bool) -> None:
    """Cells cross the real protocol; warm and cold give the same digests."""
    loaded = catalog.load(project)
    accept(loaded.labs["double"], [], []).write()
    chosen = cells(loaded, Selection())
    told: list[str] = []
    engine = HereEngine()
    try:
        results = run_all(
            chosen, engine, Settings(cold=cold), jobs=2, done=lambda r: told.append(r.cell)
        )
    finally:
        engine.close()
    assert [r.cell for r in results] == [c.id for c in chosen]
    assert sorted(told) == sorted(r.cell for r in results)
    assert {r.implementation: r.verdict for r in results} == {
        "pytorch": Verdict.CLOSE,
        "tf1": Verdict.UNSUPPORTED,
        "tf2": Verdict.CLOSE,
    }
    x = np.random.RandomState(0).rand(3).astype(np.float32)
    by_hand = digest({"doubled": 2 * x, "rounds": 1, "style": "eager"})
    assert results[0].digest == by_hand


def test_a_worker_that_cannot_be_started_costs_its_own_cell(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No room for a fresh worker's folder: that cell says so, and the results of others stay."""
    loaded = catalog.load(project)
    accept(loaded.labs["double"], [], []).write()
    chosen = [c for c in cells(loaded, Selection()) if not c.unsupported]
    full = tmp_path / "full"
    full.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(full))
    told: list[CellResult] = []

    def done(result: CellResult) -> None:
        told.append(result)
        if full.exists():
            full.rmdir()  # no folder can be made from now on

    with HereEngine() as engine:
        found = run_all(chosen, engine, Settings(cold=True), jobs=1, done=done)
    assert [one.verdict for one in found] == [Verdict.CLOSE, Verdict.FAILED]
    assert "TMPDIR" in found[1].message


def test_what_ctrl_c_ends_is_no_result(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that fails because everything is stopped has not failed; who listens is not told."""
    source = project / "labs/double/pytorch.py"
    source.write_text("import time\n\n\ndef run(inputs, workdir):\n    time.sleep(60)\n")
    loaded = catalog.load(project)
    accept(loaded.labs["double"], [], []).write()
    told: list[CellResult] = []

    def done(result: CellResult) -> None:
        told.append(result)
        raise KeyboardInterrupt

    with HereEngine() as engine, pytest.raises(KeyboardInterrupt):
        run_all(cells(loaded, Selection()), engine, Settings(), jobs=2, done=done)
    assert [one.verdict for one in told] == [Verdict.UNSUPPORTED]


def test_a_worker_that_dies_costs_the_other_cells_nothing(project: Path) -> None:
    """A cell whose worker was killed under it runs again on a new one."""
    loaded = catalog.load(project)
    accept(loaded.labs["double"], [], []).write()
    cell = cells(loaded, Selection(implementations=("pytorch",)))[0]
    engine = HereEngine()
    try:
        with LocalFleet(engine) as fleet, Runner(engine, fleet, Settings()) as runner:
            assert runner.run(cell).verdict is Verdict.CLOSE
            engine.stop(fleet.endpoint(cell.worker_key("portable")))
            assert runner.run(cell).verdict is Verdict.CLOSE
    finally:
        engine.close()


def test_one_broken_lab_leaves_the_others_green(project: Path) -> None:
    """A scenario that fails is the failure of its own cells only."""
    shutil.copytree(project / "labs/double", project / "labs/broken")
    scenario = project / "labs/broken/scenario.py"
    scenario.write_text(scenario.read_text().replace('"rounds": 1}', '"rounds": 1 / 0}'))
    loaded = catalog.load(project)
    accept(loaded.labs["double"], [], []).write()
    chosen = cells(loaded, Selection(implementations=("pytorch",)))
    engine = HereEngine()
    try:
        results = run_all(chosen, engine, Settings(), jobs=1, done=lambda _: None)
    finally:
        engine.close()
    assert [r.verdict for r in results] == [Verdict.FAILED, Verdict.CLOSE]
    assert "labs/broken/scenario.py:8: inputs(0) failed" in results[0].message


def test_a_cells_seconds_begin_when_its_worker_is_up(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first cell of an environment is recorded as its longest one, for its import."""
    (tmp_path / "slow_framework.py").write_text("import time\ntime.sleep(2)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    slow = replace(cell.environment.support["pytorch"], preload=("slow_framework",))
    first = replace(cell, environment=replace(cell.environment, support={"pytorch": slow}))
    with HereEngine() as engine:
        (warm,) = run_all([first], engine, Settings(), jobs=1)
        (cold,) = run_all([first], engine, Settings(cold=True), jobs=1)
    assert warm.seconds < 2 < cold.seconds


def test_workers_are_told_how_many_jobs_will_come(cell: Cell) -> None:
    """A worker of the matrix has some twenty: less than what huge pages are worth their time for.

    One whose cells are not known beforehand is made for many, and one of ``--cold`` for its own.
    """
    other = replace(cell, lab=replace(cell.lab, slug="other"))
    (key,) = worker_keys([cell, other, cell], "portable")
    assert (key.jobs, key.name) == (3, cell.worker_key("portable").name)
    assert cell.worker_key("portable").jobs is None
    started = []

    class Noting(HereEngine):
        def start(self, key: WorkerKey) -> Endpoint:
            started.append(key.jobs)
            return super().start(key)

    with Noting() as engine:
        run_all([cell, cell], engine, Settings(), jobs=1)
        run_all([cell], engine, Settings(cold=True), jobs=1)
    assert started == [2, 1]
