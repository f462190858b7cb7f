"""Clusters in trouble: GPUs that go, schedulers that are away or say nothing, hosts that hang."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from clusters import (
    JOINED,
    free_port,
    host,
    kill,
    locally,
    many_cells,
    options,
    program,
    scheduler,
    told,
    trouble,
    within,
)

from paritylab import errands
from paritylab.cluster import cells as clustercells
from paritylab.cluster import link, schedulers
from paritylab.cluster.cells import open_desk, run_cells
from paritylab.cluster.desk import DaskDesk
from paritylab.errands import Errand
from paritylab.errors import NoGpuError
from paritylab.model import Cell, CellResult
from paritylab.runner import Settings

GPU = ("--resources", "GPU=1")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the fixture project, NumPy alone, and patience for tests."""
    shutil.copytree(Path(__file__).parents[1] / "fixtures/valid", tmp_path / "project")
    return tmp_path / "project"


class Cluster(ExitStack):
    """A free port, and what a test starts there: all of it ends with the test."""

    def __init__(self, project: Path) -> None:
        super().__init__()
        self.project, self.port = project, free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"

    def scheduler(self, **how: Any) -> subprocess.Popen[str]:
        """See clusters.scheduler."""
        return self.enter_context(scheduler(self.port, **how))

    def host(self, *more: str) -> subprocess.Popen[str]:
        """See clusters.host."""
        return self.enter_context(host(self.address, *more))

    def desk(self, chosen: list[Cell]) -> DaskDesk:
        """A run of these cells has begun."""
        return self.enter_context(open_desk(self.address, chosen, options(self.project)))

    def stop(self, process: subprocess.Popen[str]) -> None:
        """Have it say nothing more, until the end of the test."""
        self.callback(os.killpg, process.pid, signal.SIGCONT)
        os.killpg(process.pid, signal.SIGSTOP)


@pytest.fixture
def cluster(project: Path) -> Iterator[Cluster]:
    """Nothing runs there yet."""
    with Cluster(project) as made:
        yield made


def patience(project: Path, **seconds: float) -> None:
    """Write cluster.toml."""
    lines = [f"{name} = {value}" for name, value in seconds.items()]
    (project / "cluster.toml").write_text("\n".join(["[patience]", *lines, ""]))


def on_gpu(chosen: Sequence[Cell]) -> list[list[Errand]]:
    """A batch for each cell, for a GPU; a host without the driver answers that it has none."""
    made = [clustercells._errand(cell, Settings()) for cell in chosen]
    return [[replace(one, on_gpu=True)] for one in made]


@contextmanager
def after(seconds: float, what: Callable[[], object]) -> Iterator[None]:
    """Do it so many seconds from now, whatever else happens meanwhile."""
    timer = threading.Timer(seconds, what)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def test_a_gpu_host_that_is_away_for_a_moment_is_waited_for(
    project: Path, cluster: Cluster
) -> None:
    """It died, `join` brings it back; batches for it are no reason to end the whole run."""
    chosen = many_cells(project, 2)
    cluster.scheduler()
    cluster.host()
    first = cluster.host(*GPU)
    desk = cluster.desk(chosen)
    kill(first)
    with after(1.5, lambda: cluster.host(*GPU)):
        reports = list(desk.reports(on_gpu(chosen)))
    assert sorted(one.id for one in reports) == sorted(cell.id for cell in chosen)
    assert {one.answer.what for one in reports if isinstance(one.answer, NoGpuError)}


def test_a_gpu_host_that_never_comes_back_is_told(
    project: Path,
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its batches were sent before it went; Dask would keep them for ever."""
    monkeypatch.setattr(link, "TELL_SECONDS", 0.5)
    patience(project, workers=1.5)
    chosen = many_cells(project, 1)
    cluster.scheduler()
    cluster.host()
    only = cluster.host(*GPU)
    desk = cluster.desk(chosen)
    os.killpg(only.pid, signal.SIGSTOP)

    def supply() -> Iterator[list[Errand]]:
        yield from on_gpu(chosen)
        kill(only)

    (fault,) = within(10, lambda: [trouble(lambda: list(desk.reports(supply())))])
    assert isinstance(fault, NoGpuError)
    assert f"paritylab join {cluster.address} (on a host with a GPU" in str(fault)
    assert capsys.readouterr().err.count("waiting for a worker with a GPU") == 1


def test_hosts_without_a_gpu_are_not_asked_for_what_a_gpu_host_cannot(
    project: Path, cluster: Cluster
) -> None:
    """Dask breaks over a task for resources that its workers lack; the first answer counts."""
    chosen = many_cells(project, 1)
    cluster.scheduler()
    cluster.host("--host", "127.0.0.1")
    cluster.host("--host", "127.0.0.2", *GPU)
    desk = cluster.desk(chosen)
    reports = within(20, lambda: list(desk.reports(on_gpu(chosen))))
    assert {link.host_of(one.host) for one in reports} == {"127.0.0.2"}


def test_a_scheduler_may_be_away_for_longer_than_dasks_client_looks_for_it(
    project: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has given up and closed itself while this machine did something else."""
    monkeypatch.setattr(errands, "BATCH", 2)
    monkeypatch.setattr(schedulers, "CONNECT_SECONDS", 1.0)
    chosen = many_cells(project, 6, seconds=0.1)
    seen: list[str] = []
    first = cluster.scheduler()
    cluster.host()

    def done(result: CellResult) -> None:
        seen.append(result.cell)
        if len(seen) == 3:
            kill(first)
            time.sleep(2.5)
            cluster.scheduler()

    found = run_cells(chosen, cluster.desk(chosen), Settings(), done=done)
    assert Counter(seen) == Counter(cell.id for cell in chosen)
    assert told(found) == told(locally(chosen))


def test_a_scheduler_may_be_away_while_the_first_worker_is_waited_for(
    project: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for SLURM's queue must not outlive the connection that it asks."""
    monkeypatch.setattr(schedulers, "CONNECT_SECONDS", 1.0)
    chosen = many_cells(project, 1)
    first = cluster.scheduler()
    desk = cluster.desk(chosen)
    kill(first)

    def back() -> None:
        cluster.scheduler()
        cluster.host()

    with after(2.5, back):
        found = run_cells(chosen, desk, Settings())
    assert all(one.verdict.green for one in found)


def test_a_supply_that_finds_the_scheduler_gone_loses_no_batch(
    project: Path, cluster: Cluster
) -> None:
    """It asks for places to cut its batches; what was out by then is asked again, not forgotten."""
    chosen = many_cells(project, 1, seconds=0.5)
    first = cluster.scheduler()
    cluster.host()
    desk = cluster.desk(chosen)

    def supply() -> Iterator[list[Errand]]:
        yield [clustercells._errand(chosen[0], Settings())]
        kill(first)
        while desk._link.up:
            time.sleep(0.02)
        cluster.scheduler()
        assert desk.places

    reports = within(30, lambda: list(desk.reports(supply())))
    assert [one.id for one in reports] == [chosen[0].id]


def test_a_scheduler_that_says_nothing_is_given_up(
    project: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, it keeps its connections; whoever waits for its answers waits for ever."""
    monkeypatch.setattr(schedulers, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.5)
    patience(project, scheduler=2.0)
    chosen = many_cells(project, 1, seconds=30)
    only = cluster.scheduler()
    cluster.host()
    desk = cluster.desk(chosen)
    assert desk.places == 1
    cluster.stop(only)
    fault = within(15, lambda: [trouble(lambda: run_cells(chosen, desk, Settings()))])
    assert "scheduler does not answer" in str(fault[0])


def test_a_host_that_says_nothing_is_named_and_does_not_keep_the_others(
    project: Path,
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It cannot be told of the run; those that can are enough."""
    monkeypatch.setattr(link, "ANSWER_SECONDS", 3.0)
    # Hosts report twice a second: one that lives may be 0.5 s late, or a second on a busy machine.
    monkeypatch.setattr(link, "SILENT_SECONDS", 1.5)
    chosen = many_cells(project, 3)
    cluster.scheduler(variables={"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s"})
    cluster.host("--host", "127.0.0.1")
    cluster.stop(cluster.host("--host", "127.0.0.2"))
    desk = cluster.desk(chosen)
    found = run_cells(chosen, desk, Settings())
    assert desk.hosts == {"127.0.0.1": len(chosen)}
    assert "127.0.0.2 says nothing" in capsys.readouterr().err
    assert told(found) == told(locally(chosen))


def test_hosts_that_live_but_never_answer_are_told(project: Path, cluster: Cluster) -> None:
    """A mount that hangs stops a job's thread, not its worker's heartbeat."""
    patience(project, answer=3.0)
    chosen = many_cells(project, 1, seconds=40)
    cluster.scheduler()
    cluster.host()
    desk = cluster.desk(chosen)
    fault = within(25, lambda: [trouble(lambda: run_cells(chosen, desk, Settings()))])
    assert "127.0.0.1: no answer for 3 s" in str(fault[0])
    assert "`answer` of [patience]" in str(fault[0])


def test_a_host_that_joins_has_the_patience_that_it_was_given(cluster: Cluster) -> None:
    """cluster.toml is the desk's; a host's own connections wait for as long as `join` was told."""
    words = ("paritylab", "join", cluster.address, "--threads", "1", "--patience", "17")
    cluster.scheduler()
    cluster.enter_context(program(*words, until=JOINED))
    client = cluster.enter_context(Client(cluster.address, set_as_default=False))
    found = client.run(dask.config.get, "distributed.comm.timeouts.tcp")
    assert list(found.values()) == ["17s"]
