"""The benchmark's parts that run pytest and workers for real, on the interpreter at hand."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from paritylab import catalog
from paritylab.accept import accept
from paritylab.bench import growth, memory, scaling
from paritylab.engines.docker import DockerEngine
from paritylab.errors import EngineError
from paritylab.model import Limits, WorkerKey
from paritylab.wire import Job, Session

FIXTURES = Path(__file__).parents[1] / "fixtures"
PYTORCH = ("--engine=here", "--implementation=pytorch")


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four labs that the interpreter at hand can run."""
    root = tmp_path / "course"
    shutil.copytree(FIXTURES / "valid", root)
    shutil.copy(FIXTURES / "stand_in/torch.py", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for number in range(3):
        shutil.copytree(root / "labs/double", root / f"labs/double{number}")
    for lab in catalog.load(root).labs.values():
        accept(lab, [], []).write()
    return root


def test_scaling_runs_the_matrix_with_every_number_of_processes(
    course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure for each, also for the number of cores, which alone has a target; none if red."""
    monkeypatch.setattr(scaling, "PROCESSES", (1, 2))
    monkeypatch.setattr(scaling, "_LOOP", "sum(range(1_000_000))")
    figures = scaling.scaling(PYTORCH, course, repeats=1, tell=print)
    cores = len(os.sched_getaffinity(0))
    assert len(figures) == len({*scaling.PROCESSES, cores})
    assert all(0 < figure.median < 2 for figure in figures)
    held = [figure.name for figure in figures if figure.target]
    assert held == ([f"efficiency, {cores} processes"] if cores > 1 else [])
    wrong = course / "labs/double0/pytorch.py"
    wrong.write_text(wrong.read_text().replace("+", "-"))
    with pytest.raises(EngineError, match="not green"):
        scaling.scaling(PYTORCH, course, repeats=1, tell=print)


def test_growth_measures_every_stage_at_every_size() -> None:
    """Time and memory for each stage, from processes that did run every cell."""
    figures = growth.growth(repeats=1, tell=print, sizes=(10, 30, 60))
    assert len(figures) == 2 * len(growth.STAGES)
    for time_per_cell, held in zip(figures[::2], figures[1::2], strict=True):
        assert set(time_per_cell.raw) == {"10 cells s", "30 cells s", "60 cells s"}
        assert 0.5 < held.median < 2


@pytest.mark.docker
def test_a_container_tells_the_most_that_its_worker_ever_held(
    open_docker: Callable[[], DockerEngine], numpy_key: WorkerKey
) -> None:
    """With cgroups of either version: 96 MiB that a job had for a moment are in it."""
    held = "import numpy as np\n\ndef run(inputs, workdir):\n    np.ones(12 << 20)\n    return {}\n"
    with open_docker() as engine:
        endpoint = engine.start(numpy_key)
        try:
            before = memory._container_peak(endpoint.place)
            with Session(engine.connect(endpoint)) as session:
                job = Job(
                    id="holds", file="pytorch.py", source=held, stages=("run",), inputs={}, seed=0,
                    profile="native", limits=Limits(seconds=20, memory_mb=512),
                )  # fmt: skip
                assert session.run(job).status == "ok"
            assert 80 < memory._container_peak(endpoint.place) - before < 200
        finally:
            engine.stop(endpoint)
