"""cluster.desk: real Dask processes on this machine; every cell once, the same as without them."""

import math
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from clusters import locally, many_cells, options, told, trouble, within
from conftest import PROJECT
from distributed import LocalCluster

from paritylab import errands
from paritylab.cli import run as clirun
from paritylab.cli.elsewhere import elsewhere
from paritylab.cluster import cells as clustercells
from paritylab.cluster import desk as clusterdesk
from paritylab.cluster import schedulers
from paritylab.cluster.cells import open_desk, run_cells
from paritylab.cluster.schedulers import open_scheduler
from paritylab.cluster.settings import ClusterSettings, read
from paritylab.errands import Errand, batch_size, batches
from paritylab.errors import CatalogError, EngineError, UsageError
from paritylab.model import Cell, CellResult
from paritylab.plan import Options, choose
from paritylab.runner import Settings
from paritylab.wire import JobResult


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A scheduler in this process and two Dask workers, which a nanny starts again."""
    open_scheduler("tcp://127.0.0.1:1", ClusterSettings())  # for Dask's settings
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=50,
    ) as started:
        yield started


def test_a_cluster_gives_the_results_of_one_machine_in_the_same_order(
    project: Path, cluster: LocalCluster
) -> None:
    """Verdicts, digests, messages and versions are equal, and each cell is told once."""
    chosen = many_cells(project, 5)
    seen: list[CellResult] = []
    with open_desk(cluster.scheduler_address, chosen, options(project)) as desk:
        found = run_cells(chosen, desk, Settings(), done=seen.append)
        assert desk.hosts == {"127.0.0.1": len(chosen)}
    assert told(found) == told(locally(chosen))
    assert sorted(one.cell for one in seen) == sorted(one.cell for one in found)
    assert all(one.verdict.green and one.digest for one in found)


def test_a_worker_that_is_killed_costs_no_cell_and_counts_none_twice(
    project: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ran on it runs again elsewhere; what had ended is not told again."""
    monkeypatch.setattr(errands, "BATCH", 2)
    chosen = many_cells(project, 8, seconds=0.15)
    seen: list[str] = []

    def done(result: CellResult) -> None:
        seen.append(result.cell)
        if len(seen) == 3:
            os.kill(cluster.workers[0].process.pid, signal.SIGKILL)

    with open_desk(cluster.scheduler_address, chosen, options(project)) as desk:
        found = run_cells(chosen, desk, Settings(), done=done)
    assert set(Counter(seen).values()) == {1}
    assert told(found) == told(locally(chosen))


def test_nothing_runs_on_any_host_once_the_desk_is_closed(
    project: Path, cluster: LocalCluster, tmp_path: Path
) -> None:
    """Ctrl-C: tasks are cancelled, and the workers of the run end, also those in the middle."""
    chosen = many_cells(project, 6, seconds=30.0, log=tmp_path / "log")

    def press(log: Path = tmp_path / "log") -> None:
        while not log.exists() or len(log.read_text().splitlines()) < 2:
            pause.wait(0.05)
        signal.raise_signal(signal.SIGINT)

    pause = threading.Event()
    with open_desk(cluster.scheduler_address, chosen, options(project)) as desk:
        threading.Thread(target=press, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            run_cells(chosen, desk, Settings())
    children = {pid for worker in cluster.workers.values() for pid in _below(worker.process.pid)}
    assert not [pid for pid in children if "BOOT" in _line(pid) or "paritylab_worker" in _line(pid)]
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def errands_of(chosen: list[Cell]) -> list[Errand]:
    """What run_cells sends."""
    return [clustercells._errand(cell, Settings()) for cell in chosen]


def test_an_answer_that_never_arrives_is_not_asked_for_without_end(
    project: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result too large for the network: a few attempts, the last cell by cell, then a word."""
    monkeypatch.setattr(clusterdesk, "FETCH_SECONDS", 0.0)
    chosen = many_cells(project, 2)
    with open_desk(cluster.scheduler_address, chosen, options(project)) as desk:
        (fault,) = within(30, lambda: [trouble(lambda: run_cells(chosen, desk, Settings()))])
    assert "could not be fetched" in str(fault)
    assert "without --cluster" in str(fault)


def test_an_errand_that_spoils_its_batch_spoils_no_neighbour(
    project: Path, cluster: LocalCluster
) -> None:
    """A batch that no host answers is asked errand by errand before anything is given up."""
    chosen = many_cells(project, 2)
    bad, *good = errands_of(chosen)
    bad = replace(bad, job=replace(bad.job, seed="no number"))  # hosts cannot read such a message
    with open_desk(cluster.scheduler_address, chosen, options(project)) as desk:
        reports = {one.id: one.answer for one in desk.reports([[bad, *good]])}
    assert isinstance(reports.pop(bad.id), EngineError)
    assert len(reports) == len(good) == 3
    assert all(isinstance(one, JobResult) and one.status == "ok" for one in reports.values())


@pytest.mark.parametrize(("most", "ahead"), [(10**9, 3), (1, 0)])
def test_orders_under_way_are_limited_by_their_bytes(
    project: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch, most: int, ahead: int
) -> None:
    """A scheduler holds every order in memory: two for each place, unless they are too large."""
    monkeypatch.setattr(clusterdesk, "UNDER_WAY", most, raising=False)
    chosen = many_cells(project, 3, seconds=0.3)
    flying: list[int] = []

    def supply() -> Iterator[list[Errand]]:
        for errand in errands_of(chosen):
            flying.append(len(desk._flying))
            yield [errand]

    with open_desk(cluster.scheduler_address, chosen, options(project)) as desk:
        assert len(list(desk.reports(supply()))) == len(chosen)
        assert desk._under_way == 0
    assert max(flying) == ahead


def _below(pid: int) -> set[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    own = {int(child) for thread in threads for child in thread.read_text().split()}
    return own | {pid for child in own for pid in _below(child)}


def _line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def test_no_scheduler_is_an_error_with_what_to_type(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens: exit code 3, before anything is computed."""
    monkeypatch.setattr(schedulers, "CONNECT_SECONDS", 0.5)
    chosen = many_cells(project, 1)
    with (
        pytest.raises(EngineError, match="scheduler does not answer") as caught,
        open_desk("tcp://127.0.0.1:9", chosen, options(project)),
    ):
        pass
    assert "dask scheduler" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_scheduler_without_workers_is_an_error_with_what_to_type(
    project: Path, tmp_path: Path
) -> None:
    """A cluster that nobody has joined is told after the patience that cluster.toml grants."""
    file = tmp_path / "cluster.toml"
    file.write_text("[patience]\nworkers = 0.2\n")
    chosen = many_cells(project, 1)
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50) as empty,
        open_desk(empty.scheduler_address, chosen, options(project), file=file) as desk,
        pytest.raises(EngineError, match=r"has no worker after 0\.2 s") as caught,
    ):
        run_cells(chosen, desk, Settings())
    assert f"paritylab join {empty.scheduler_address}" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "local", "local:0", "local:-1", "local:9999", "scheduler:8786", "tcp://x", "k8s"]
)
def test_a_cluster_that_is_none_is_told_with_the_valid_forms(text: str) -> None:
    """The message shows what may be typed."""
    with pytest.raises(UsageError) as caught:
        open_scheduler(text, ClusterSettings())
    assert "tcp://scheduler:8786" in str(caught.value)


def test_slurm_needs_its_table(tmp_path: Path) -> None:
    """How much a job asks for is nothing that can be guessed."""
    with pytest.raises(UsageError, match=r"\[slurm\]"):
        open_scheduler("slurm", read(None, tmp_path))


@pytest.mark.parametrize(
    ("text", "told_of"),
    [
        ("[slurm]\ncores = 2\n", "slurm.memory"),
        ("[slurm]\ncores = 0\nmemory = '1GB'\n", "slurm.cores"),
        ("[slurmm]\n", "slurmm"),
        ("[patience]\nhost = -1\n", "patience.host"),
        ("[security]\nca = 'ca.pem'\n", "security.cert"),
        ("jobs = ", "TOML"),
    ],
)
def test_faults_of_cluster_toml_are_told_with_their_key(
    text: str, told_of: str, tmp_path: Path
) -> None:
    """A typing mistake is found before anything is submitted."""
    file = tmp_path / "cluster.toml"
    file.write_text(text)
    with pytest.raises(CatalogError) as caught:
        read(file, tmp_path)
    assert told_of in str(caught.value)


def test_tls_files_that_are_missing_are_told(tmp_path: Path) -> None:
    """A wrong path is no reason to speak without encryption."""
    file = tmp_path / "cluster.toml"
    file.write_text("[security]\nca = 'a.pem'\ncert = 'b.pem'\nkey = 'c.pem'\n")
    with pytest.raises(UsageError, match=r"a\.pem is no file"):
        open_scheduler("tls://127.0.0.1:9", read(file, tmp_path)).connect()


@pytest.mark.parametrize(
    ("cells", "places", "size"), [(1, 8, 1), (153, 2, 16), (153, 40, 2), (10**6, 10**3, 16)]
)
def test_batches_leave_every_place_something_to_do(cells: int, places: int, size: int) -> None:
    """Few cells are spread, many are sent together, and never too many for one host to lose."""
    assert batch_size(cells, places) == size


def test_batches_follow_the_places_that_there_are(project: Path) -> None:
    """One of a hundred SLURM jobs was up at first: that must not decide the rest of the run."""
    first, *_ = errands_of(many_cells(project, 1))
    ready = [replace(first, id=str(number)) for number in range(6)]
    sizes = iter([3, 2, 1, 1])
    assert [len(one) for one in batches(ready, lambda: next(sizes))] == [3, 2, 1]


def test_a_run_elsewhere_keeps_together_what_shares_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The longest first, as on one machine, would send cells one by one from worker to worker."""
    sent: list[Cell] = []
    desk = SimpleNamespace(images={}, hosts={})
    monkeypatch.setattr(clirun, "desk_of", lambda *_: nullcontext(desk))
    monkeypatch.setattr(clirun, "run_there", lambda cells, *_: sent.extend(cells))
    chosen = Options(root=PROJECT)
    clirun._run(clirun._Outcome(choose(chosen)), chosen, where=elsewhere("local:2", None))
    able = [cell for cell in sent if not cell.unsupported]
    made = list(batches(errands_of(able), lambda: errands.BATCH))
    keys = Counter(errand.key.name for batch in made for errand in batch)
    assert len(made) == sum(math.ceil(number / errands.BATCH) for number in keys.values())


def test_a_trial_cluster_needs_no_certificates(tmp_path: Path) -> None:
    """A project whose cluster.toml protects a network: local:1 has none."""
    file = tmp_path / "cluster.toml"
    file.write_text("[security]\nca = 'a.pem'\ncert = 'b.pem'\nkey = 'c.pem'\n")
    with open_scheduler("local:1", read(file, tmp_path)) as scheduler:
        client = scheduler.connect()
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
        client.close()


def test_what_is_no_cluster_or_not_for_one_is_told_with_what_to_do() -> None:
    """Every error says what to type next."""
    for wrong in (
        lambda: open_scheduler("k8s", ClusterSettings()),
        lambda: elsewhere("local:2", None, jobs=2),
    ):
        with pytest.raises(UsageError) as caught:
            wrong()
        assert caught.value.fix
