"""``--cluster slurm`` on a real SLURM with two nodes."""

import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from clusters import locally, many_cells, options, told
from slurm import said, slurm

from paritylab import errands
from paritylab.cluster.cells import open_desk, run_cells
from paritylab.model import CellResult
from paritylab.runner import Settings


def test_jobs_of_slurm_run_the_cells_and_are_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs join; one is cancelled in the middle and another takes its place; nothing stays."""
    monkeypatch.setattr(errands, "BATCH", 1)
    project, folder = tmp_path / "project", Path(f"/tmp/pl-slurm-{tmp_path.name[-12:]}")
    shutil.copytree(Path(__file__).parents[1] / "fixtures/valid", project)
    (project / "cluster.toml").write_text(
        "[slurm]\njobs = 2\ncores = 1\nmemory = '512MB'\nqueue = 'lab'\ninterface = 'lo'\n"
        f"python = '{sys.executable}'\nlogs = '{tmp_path}/logs'\nlocal_folder = '{tmp_path}'\n"
    )
    chosen = many_cells(project, 6, seconds=0.3)
    seen: list[str] = []
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with slurm(folder) as configuration:
            monkeypatch.setenv("SLURM_CONF", str(configuration))
            with open_desk("slurm", chosen, options(project)) as desk:
                await_places(desk, 2)
                first = jobs()

                def done(result: CellResult) -> None:
                    seen.append(result.cell)
                    if len(seen) == 3:
                        said(["scancel", first[0]], {})

                found = run_cells(chosen, desk, Settings(), done=done)
                await_places(desk, 2)
                assert len({*first, *jobs()}) == 3
            for _ in range(100):
                if not jobs():
                    break
                time.sleep(0.1)
            assert not jobs()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert Counter(seen) == Counter(cell.id for cell in chosen)
    assert told(found) == told(locally(chosen))


def jobs() -> list[str]:
    """The ids of the jobs that run."""
    return said(["squeue", "-h", "-t", "RUNNING,COMPLETING", "-o", "%i"], {}).split()


def await_places(desk, count: int) -> None:
    """Wait until so many workers have joined, as their jobs start."""
    for _ in range(120):
        if desk.places == count:
            return
        time.sleep(0.5)
    raise AssertionError(f"{desk.places} workers joined, not {count}")
