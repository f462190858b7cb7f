"""Clusters of Dask's own programs: a scheduler that is killed, hosts that cannot, hosts that go."""

import shutil
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from clusters import free_port, host, kill, locally, many_cells, options, scheduler, told

from paritylab.cluster import cells as clustered
from paritylab.cluster.cells import open_desk, run_cells
from paritylab.model import CellResult
from paritylab.runner import Settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the fixture project: NumPy alone."""
    shutil.copytree(Path(__file__).parents[1] / "fixtures/valid", tmp_path / "project")
    return tmp_path / "project"


def test_a_scheduler_that_is_killed_and_started_again_loses_no_cell(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that has no answer is asked again; what has one is neither run nor told again."""
    monkeypatch.setattr(clustered, "BATCH", 2)
    log, port = tmp_path / "log", free_port()
    chosen = many_cells(project, 10, seconds=0.2, log=log)
    address = f"tcp://127.0.0.1:{port}"
    seen: list[str] = []
    with ExitStack() as stack:
        first = stack.enter_context(scheduler(port))
        for _ in range(2):
            stack.enter_context(host(address))

        def done(result: CellResult) -> None:
            seen.append(result.cell)
            if len(seen) == 4:
                kill(first)
                stack.enter_context(scheduler(port))

        with open_desk(address, chosen, options(project)) as desk:
            found = run_cells(chosen, desk, Settings(), done=done)
    assert Counter(seen) == Counter(cell.id for cell in chosen)
    assert told(found) == told(locally(chosen))
