"""Clusters of Dask's own programs: a scheduler that is killed, hosts that cannot, hosts that go."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from clusters import free_port, host, kill, locally, many_cells, options, scheduler, told

from paritylab import errands
from paritylab.cluster.cells import open_desk, run_cells
from paritylab.errors import EngineError
from paritylab.model import CellResult, Verdict
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
    monkeypatch.setattr(errands, "BATCH", 2)
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


def test_what_one_host_cannot_do_another_does(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without room for its cache fails fast; it must not draw the whole matrix to itself."""
    monkeypatch.setattr(errands, "BATCH", 1)
    chosen = many_cells(project, 6, seconds=0.1)
    broken, port = tmp_path / "a file, no folder", free_port()
    broken.write_text("")
    address = f"tcp://127.0.0.1:{port}"
    with (
        scheduler(port),
        host(address, "--host", "127.0.0.2", variables={"PARITYLAB_CACHE": str(broken)}),
        host(address, "--host", "127.0.0.1"),
        open_desk(address, chosen, options(project)) as desk,
    ):
        found = run_cells(chosen, desk, Settings())
        assert desk.hosts == {"127.0.0.1": len(chosen)}
    assert told(found) == told(locally(chosen))


def test_what_no_host_can_do_is_an_error_of_the_engine(project: Path, tmp_path: Path) -> None:
    """Every host refuses everything: exit code 3 with the host's own words, not red cells."""
    chosen = many_cells(project, 3)
    broken, port = tmp_path / "a file, no folder", free_port()
    broken.write_text("")
    address = f"tcp://127.0.0.1:{port}"
    with (
        scheduler(port),
        host(address, variables={"PARITYLAB_CACHE": str(broken)}),
        open_desk(address, chosen, options(project)) as desk,
        pytest.raises(EngineError, match="a file, no folder"),
    ):
        run_cells(chosen, desk, Settings())


KILLER = """\
import os, pathlib, signal

def run(inputs, workdir):
    pid = os.getpid()
    while "distributed" not in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
        pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pid, signal.SIGKILL)
"""


def test_a_cell_whose_hosts_die_is_told_and_takes_no_other_with_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is taken apart until the one is found; the others end as on one machine."""
    monkeypatch.setattr(errands, "BATCH", 3)
    chosen = many_cells(project, 3)
    (project / "labs/double-01/pytorch.py").write_text(KILLER)
    port, few = free_port(), {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    address = f"tcp://127.0.0.1:{port}"
    with (
        scheduler(port, variables=few),
        host(address),
        open_desk(address, chosen, options(project)) as desk,
    ):
        found = run_cells(chosen, desk, Settings())
    (red,) = [one for one in found if not one.verdict.green]
    assert red.cell == "double-01-pytorch@tiny-cpu"
    assert (red.verdict, len(found)) == (Verdict.FAILED, 6)
    assert "workers of the cluster that ran it died" in red.message


def test_ctrl_c_in_a_terminal_ends_a_trial_cluster_in_silence(
    project: Path, tmp_path: Path
) -> None:
    """It reaches Dask's processes, too: exit code 130, one sentence, no traceback, nothing left."""
    many_cells(project, 2, seconds=30.0, log=tmp_path / "log")
    stand_in = str(Path(__file__).parents[1] / "fixtures/stand_in")
    command = [sys.executable, "-m", "paritylab", "run", "--engine", "here", "--cluster", "local:2"]
    process = subprocess.Popen(
        command, cwd=project, start_new_session=True, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": f"{stand_in}:{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    try:
        for _ in range(900):
            if (tmp_path / "log").exists():
                break
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        kill(process)
    assert process.returncode == 130
    assert said.strip().splitlines()[-1].startswith("interrupted")
    assert "Traceback" not in said
