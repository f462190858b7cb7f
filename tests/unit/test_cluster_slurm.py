"""cluster.slurm: what becomes of sbatch's refusals; its programs are stand-ins of a line."""

import time
from pathlib import Path

import pytest

from paritylab.cluster.schedulers import open_scheduler
from paritylab.cluster.settings import ClusterSettings, Slurm
from paritylab.errors import EngineError

SETTINGS = ClusterSettings(slurm=Slurm(jobs=2, cores=1, memory="1GB", queue="typo"))
REFUSES = "echo 'sbatch: error: invalid partition specified: typo' >&2; exit 1"
SUBMITS = "echo Submitted batch job $$"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all programs that are found: none yet."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "bin"


def write(folder: Path, name: str, line: str) -> None:
    """A program that leaves a line in ``log`` for every start."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho {name} >> {folder.parent}/log\n{line}\n")
    program.chmod(0o755)


def started(folder: Path) -> list[str]:
    """The programs that were, in their order."""
    return (folder.parent / "log").read_text().split()


def test_a_refusal_of_sbatch_is_told_at_once_in_its_own_words(programs: Path) -> None:
    """Nobody waits an hour for jobs that no queue will ever have."""
    write(programs, "sbatch", REFUSES)
    with pytest.raises(EngineError, match="slurm cluster cannot be started") as caught:
        open_scheduler("slurm", SETTINGS)
    assert caught.value.why == "sbatch: error: invalid partition specified: typo"
    assert "[slurm] of cluster.toml" in str(caught.value.fix)
    assert started(programs) == ["sbatch"]


def test_a_machine_without_sbatch_is_told_at_once(programs: Path) -> None:
    """The wrong machine: no node of that cluster, or no module loaded."""
    assert not list(programs.iterdir())
    with pytest.raises(EngineError, match="slurm cluster cannot be started") as caught:
        open_scheduler("slurm", SETTINGS)
    assert "'sbatch'" in str(caught.value.why)


def test_as_many_jobs_are_submitted_as_are_asked_for(programs: Path) -> None:
    """The first, which shows whether SLURM takes them, is one of them; all are cancelled."""
    write(programs, "sbatch", SUBMITS)
    write(programs, "scancel", "")
    with open_scheduler("slurm", SETTINGS):
        for _ in range(100):
            if len(started(programs)) == 2:
                break
            time.sleep(0.1)
        time.sleep(1.5)  # Dask looks every second whether there are enough
        assert started(programs) == ["sbatch"] * 2
    assert started(programs) == ["sbatch"] * 2 + ["scancel"] * 2
