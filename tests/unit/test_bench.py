"""bench: figures say what was measured, keep every sample, and call a growing cost by its name."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import FIXTURES
from grade_here import plan_of
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from paritylab import catalog, report
from paritylab.accept import accept
from paritylab.bench import grading, growth, memory, scaling, suite, warm
from paritylab.bench.growth import Cost
from paritylab.bench.model import Figure, Target, ratio
from paritylab.bench.project import write_project
from paritylab.bench.suite import LETTERS, Request
from paritylab.cli.app import app
from paritylab.engines.base import Channel, Endpoint
from paritylab.engines.here import HereEngine
from paritylab.errors import EngineError, LabError, UsageError
from paritylab.matrix import Selection, cells
from paritylab.model import WorkerKey

SAMPLES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=9)


@given(SAMPLES, SAMPLES)
def test_a_ratio_is_taken_repeat_by_repeat(over: list[float], under: list[float]) -> None:
    """The two sides of a repeat were measured one after the other: their noise goes together."""
    size = min(len(over), len(under))
    figure = ratio("a", "x", ("top s", over[:size]), ("bottom s", under[:size]))
    assert figure.samples == tuple(a / b for a, b in zip(over, under, strict=False))
    assert min(figure.samples) <= figure.median <= max(figure.samples)
    told = json.loads(json.dumps(figure.document()))
    assert told["samples"] == list(figure.samples)
    assert told["parts"] == {"top s": over[:size], "bottom s": under[:size]}


@pytest.mark.parametrize(
    ("target", "good", "bad", "said"),
    [
        (Target(least=20), 20.0, 19.999, ">= 20"),
        (Target(most=1.25), 1.25, 1.2501, "<= 1.25"),
        (Target(below=1), 0.999, 1.0, "< 1"),
        (Target(least=0.5, most=2), 2.0, 0.4, ">= 0.5 and <= 2"),
    ],
)
def test_a_target_is_met_or_not(target: Target, good: float, bad: float, said: str) -> None:
    """The table's yes and NO; without a target there is neither."""
    assert target.met(good)
    assert not target.met(bad)
    assert str(target) == said
    figure = Figure(letter="a", name="x", unit="s", samples=(0.1, bad, bad), target=target)
    assert figure.met is False
    assert Figure(letter="a", name="x", unit="s", samples=(1.0,)).met is None


def test_one_more_submission_is_told_with_where_its_time_goes() -> None:
    """Medians of the phases stand beside the seconds that they make up."""
    paces = [
        grading.Pace(
            name="--isolation fork", submissions=40, seconds=1.0, per_minute=60.0, added=added,
            phases={"the programs themselves": added - 0.5, "sessions": 0.5},
        )
        for added in (0.8, 0.9, 2.0)
    ]  # fmt: skip
    figure = grading._one_more(paces)
    assert (figure.median, figure.met) == (0.9, True)
    assert figure.parts == {
        "the programs themselves s": pytest.approx((0.3, 0.4, 1.5)),
        "sessions s": (0.5, 0.5, 0.5),
    }


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_one_more_submission_is_timed_when_each_place_has_served_one(
    jobs: int, project: Path
) -> None:
    """What comes before is the lanes' first imports, which no further submission pays."""
    plan = plan_of(project, jobs=jobs)  # two trials a submission
    slow = [10.0 * (n + 1) for n in range(2 * jobs)]
    later = [slow[-1] + n for n in range(1, 1 + 2 * (grading.ROUNDS - 1) * jobs)]
    clock = grading._Clock(begun=0.0, ended=slow + later)
    assert grading._added(plan, clock) == pytest.approx(2.0)


def test_a_peak_is_that_of_the_process_alone(tmp_path: Path) -> None:
    """What the benchmark itself holds does not hide what a stage takes."""
    held = bytearray(b"x" * (200 << 20))
    small = growth.peak_of([sys.executable, "-c", "pass"], tmp_path)
    large = growth.peak_of([sys.executable, "-c", "x = b'x' * (100 << 20)"], tmp_path)
    assert small < 60
    assert 100 < large < 160
    assert len(held) == 200 << 20
    with pytest.raises(EngineError, match="failed") as told:
        growth.peak_of([sys.executable, "-c", "raise SystemExit('planted')"], tmp_path)
    assert "planted" in str(told.value)


def costs(seconds: dict[int, float], peak: dict[int, float]) -> dict[int, list[Cost]]:
    """Two equal repeats of every size."""
    return {n: [Cost(seconds=seconds[n], peak=peak[n])] * 2 for n in seconds}


@pytest.mark.parametrize(
    ("exponent", "flat", "times"), [(1.0, True, 1.0), (1.5, False, 3.1), (2.0, False, 10.0)]
)
def test_what_grows_faster_than_the_matrix_is_not_flat(
    exponent: float, flat: bool, times: float
) -> None:
    """A quadratic cost is found, however large the part that is the same for all sizes."""
    found = costs(
        {n: 5.0 + 1e-4 * n**exponent for n in growth.SIZES}, dict.fromkeys(growth.SIZES, 90.0)
    )
    time_per_cell, memory_growth = growth._figures("collection", found)
    assert time_per_cell.met is flat
    assert time_per_cell.median == pytest.approx(times, rel=0.05)
    assert memory_growth.median == 1.0
    assert memory_growth.met is True


def test_a_cost_that_is_lost_in_noise_is_not_flat() -> None:
    """Where 1,000 cells took less than ten, the machine was busy; cells are not free."""
    for seconds in ({10: 2.3, 100: 2.3, 1000: 2.2, 10000: 3.0}, {10: 2.3, 1000: 2.4, 10000: 2.2}):
        figure, _ = growth._figures("collection", costs(seconds, dict.fromkeys(seconds, 90.0)))
        assert figure.met is False


def test_of_several_runs_the_least_time_and_the_largest_memory_count() -> None:
    """Others on the machine make a run longer, never shorter."""
    runs = [Cost(seconds=s, peak=p) for s, p in ((2.5, 80.0), (2.1, 81.0), (9.0, 79.0))]
    assert growth.least(runs) == Cost(seconds=2.1, peak=81.0)


def test_memory_that_grows_with_the_cells_is_told_per_cell() -> None:
    """2 KiB a cell on top of 90 MiB: the largest matrix takes 22% more, which is too much."""
    peak = {n: 90.0 + 2 * n / 1024 for n in growth.SIZES}
    figure = growth._figures("reporting", costs({n: n / 1000 for n in growth.SIZES}, peak))[1]
    assert figure.median == pytest.approx(1.217, abs=0.001)
    assert figure.met is False
    assert figure.parts["KiB per cell"] == pytest.approx((2.0, 2.0))


def test_made_projects_are_valid_and_their_stages_run(tmp_path: Path) -> None:
    """What (g) measures is the real thing: a catalog without faults, cells that are green."""
    project = write_project(tmp_path / "made", 20)
    loaded = catalog.load(project)
    runs = [cell for cell in cells(loaded, Selection()) if not cell.unsupported]
    assert len(runs) == 20
    for stage in ("collection", "reporting"):
        cost = growth._measured(stage, 20, project)
        assert 0 < cost.seconds < 60
        assert 10 < cost.peak < 2000
    with pytest.raises(EngineError, match="20 cells, not 30"):
        growth._measured("reporting", 30, project)


def test_nothing_is_imported_while_the_clock_of_collection_runs(tmp_path: Path) -> None:
    """A third of a second of imports hid what a thousand cells cost."""
    code = (
        "import sys; from paritylab.bench.collecting import collection; work = collection(20);"
        "before = set(sys.modules); work(); print('late:', len(set(sys.modules) - before))"
    )
    made = str(write_project(tmp_path / "made", 20))
    environment = {**os.environ, "PARITYLAB_ROOT": made}
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, cwd=tmp_path, check=True
    )
    *_, late = done.stdout.splitlines()
    assert late.startswith("late: "), done.stdout + done.stderr
    assert int(late.removeprefix("late: ")) < 20


def test_efficiency_compares_one_core_with_as_many_as_there_are_processes_for() -> None:
    """Four processes on two cores can be twice as fast, not four times."""
    times = {1: [40.0, 40.0], 4: [20.0, 25.0]}
    figure = scaling._efficiency("4 processes", 4, 2, times, Target(least=0.9))
    assert figure.samples == (1.0, 0.8)


def test_a_run_with_one_process_is_held_on_one_core() -> None:
    """Otherwise its workers would use the second core, and scaling look worse than it is."""
    count = "import os; print(len(os.sched_getaffinity(0)))"
    done = scaling._on(1, [sys.executable, "-c", count], Path.cwd())
    assert done.stdout.strip() == "1"


def test_memory_is_that_of_a_process_and_all_below_it() -> None:
    """A worker's forks count, shared pages once."""
    script = (
        "import os, time\nheld = b'x' * (64 << 20)\npid = os.fork()\n"
        "print(flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline()
        assert child.stdout.readline()
        tree = memory._with_descendants(child.pid)
        held = sum(memory._pss(pid) for pid in tree) / 1024
        for pid in reversed(tree):
            os.kill(pid, 9)
    assert len(tree) == 2
    assert 64 <= held < 110
    assert memory._pss(child.pid) == 0.0


class Slow(HereEngine):
    """A connection to its workers takes a second."""

    def connect(self, endpoint: Endpoint) -> Channel:
        """See Engine."""
        time.sleep(1)
        return super().connect(endpoint)


def test_a_warm_cell_is_timed_on_a_connection_that_is_open(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is once for each job and worker, whatever runs on it: it is told by itself."""
    (tmp_path / "torch.py").write_text((FIXTURES / "stand_in/torch.py").read_text())
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    accept(catalog.load(project).labs["double"], [], []).write()
    torch = Selection(implementations=("pytorch",))
    (cell,) = [one for one in cells(catalog.load(project), torch) if not one.unsupported]
    with Slow() as engine:
        figures = warm.warm_cells([cell], engine, jobs=2, repeats=1, tell=print)
        connection = warm.connections([cell], engine, repeats=2)
    assert {figure.name for figure in figures} == {
        f"{what}: --cold per cell against warm" for what in ("double", "all 1 labs")
    }
    counted = 1 / warm.WARM_PASSES  # a connection of each job, spread over the cells that it had
    for figure in figures:
        assert 0 < figure.parts["warm s"][0] < counted < 0.5 < figure.parts["--cold s"][0]
    assert len(connection.samples) == 2
    assert all(1 < seconds < 10 for seconds in connection.samples)


def slower(path: Path, line: str, seconds: float) -> None:
    """Have a function of a file sleep first."""
    text = path.read_text().replace(line, f"{line}    time.sleep({seconds})\n")
    path.write_text(f"import time\n{text}")


class Timed(HereEngine):
    """Tells how many workers had been started when another one was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[WorkerKey] = []

    def start(self, key: WorkerKey) -> Endpoint:
        """See Engine."""
        self.keys.append(key)
        return super().start(key)


def test_the_floor_is_one_import_of_each_framework_and_the_cells_computing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers of one framework count once, and the wall time has the oracles in it."""
    (tmp_path / "torch.py").write_text((FIXTURES / "stand_in/torch.py").read_text())
    (tmp_path / "slow_framework.py").write_text("import time\ntime.sleep(1)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    slower(project / "labs/double/scenario.py", "def oracle(inputs):\n", 3.0)
    slower(project / "labs/double/pytorch.py", "def run(inputs, workdir):\n", 0.5)
    accept(catalog.load(project).labs["double"], [], []).write()
    torch = Selection(implementations=("pytorch",))
    (cell,) = [one for one in cells(catalog.load(project), torch) if not one.unsupported]
    usual = cell.environment.support["pytorch"]
    slow = replace(usual, preload=("slow_framework",), variables={})
    pair = [
        replace(cell, environment=replace(cell.environment, support={"pytorch": support}))
        for support in (slow, replace(slow, variables={"TWIN": "1"}))
    ]
    with Timed() as engine:
        (figure,) = warm.whole_matrix(pair, engine, jobs=1, repeats=1, tell=print)
    assert len({key.name for key in engine.keys}) == 2
    (floor,), (matrix,) = figure.parts["floor s"], figure.parts["matrix s"]
    assert 2.0 <= floor < 2.9, "an import, and half a second for each of two cells"
    assert matrix > 4.0, "the oracle is solved while frameworks are imported; then the cells"
    assert figure.samples == (matrix / floor,)


def test_what_cannot_be_measured_is_refused_at_once() -> None:
    """A mistyped lab, or one that the chosen figures do not have: told before the first figure."""
    for wrong, words in (
        (Request(only=("c", "e"), labs=("trian",)), "trian"),
        (Request(only=("a",), engine="bogus"), "bogus"),
        (Request(only=("c", "g"), labs=("train",)), "labs are chosen"),
        (Request(only=("c",), environments=("tf2",)), "environments are chosen"),
    ):
        with pytest.raises(LabError) as told:
            wrong.check()
        assert words in str(told.value)


def test_a_workers_memory_is_measured_on_a_real_one(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peak with one cell, and what further ones add; a red cell has no figure."""
    (tmp_path / "torch.py").write_text((FIXTURES / "stand_in/torch.py").read_text())
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(memory, "PASSES", 2)
    lab = catalog.load(project).labs["double"]
    accept(lab, [], []).write()
    (cell,) = [
        cell
        for cell in cells(catalog.load(project), Selection(implementations=("pytorch",)))
        if not cell.unsupported
    ]
    try:
        alone, more = memory.memory([cell], HereEngine, repeats=1, tell=print)
    except EngineError as fault:
        if "cannot be read" not in fault.what:
            raise
        pytest.skip(f"{fault.what}: {fault.why}")
    assert 5 < alone.median < 500
    assert -20 < more.median < 100
    source = project / "labs/double/pytorch.py"
    source.write_text(source.read_text().replace("+", "-"))
    with pytest.raises(EngineError, match="double"):
        memory.memory([cell], HereEngine, repeats=1, tell=print)


def test_what_was_measured_stays_when_a_later_figure_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run takes more than an hour: its error is told, and the figures before it are written."""

    def broken(request: Request, tell: object) -> list[Figure]:
        raise EngineError("a cell is red")

    figure = Figure(letter="a", name="warm", unit="x", samples=(2.0, 3.0))
    monkeypatch.setattr(suite, "_warm", lambda *_: [figure])
    monkeypatch.setattr(suite, "_matrix", broken)
    path = tmp_path / "bench.json"
    done = CliRunner().invoke(app, ["bench", "--only", "a,b", "--results", str(path)])
    assert isinstance(done.exception, EngineError)
    assert "warm" in done.output
    assert [one["name"] for one in json.loads(path.read_text())["figures"]] == ["warm"]


def test_unknown_figures_are_refused_with_what_there_is() -> None:
    """A typo costs no hour."""
    with pytest.raises(UsageError, match="unknown figure `z`") as fault:
        list(suite.measure(Request(only=("a", "z")), print))
    assert all(what in str(fault.value) for what in LETTERS.values())


def test_the_document_of_a_run_tells_machine_commit_and_every_sample(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure without its machine and its commit is a rumour."""
    monkeypatch.setenv("PARITYLAB_ROOT", str(project))
    figure = Figure(letter="g", name="x", unit="s", samples=(1.0, 3.0, 2.0), raw={"y": (1.0,)})
    report.write_json(tmp_path / "b.json", suite.document([figure], Request(only=("g",))))
    told = json.loads((tmp_path / "b.json").read_text())
    assert told["figures"][0]["samples"] == [1.0, 3.0, 2.0]
    assert told["figures"][0]["median"] == 2.0
    assert set(told["project"]) == {"commit", "dirty", "changes"}
    assert told["host"]["cores"] >= 1
    assert told["repeats"] == 5
