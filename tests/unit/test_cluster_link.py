"""cluster.link: what a scheduler is left with when a run cannot begin."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import JOINED, many_cells, options, program
from distributed import LocalCluster

from paritylab.cluster.cells import open_desk
from paritylab.cluster.link import Link
from paritylab.cluster.schedulers import open_scheduler
from paritylab.cluster.settings import ClusterSettings
from paritylab.errors import EngineError


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A scheduler in this process that nobody has joined."""
    open_scheduler("tcp://127.0.0.1:1", ClusterSettings())  # for Dask's settings
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50) as started:
        yield started


def left(cluster: LocalCluster) -> list[str]:
    """The runs that it tells its workers of, and the clients that it has."""
    known = [name for name in cluster.scheduler.worker_plugins if name.startswith("paritylab")]
    return known + [one for one in cluster.scheduler.clients if one != "fire-and-forget"]


def test_a_host_without_our_package_is_told_and_the_scheduler_forgets_the_run(
    project: Path, cluster: LocalCluster, tmp_path: Path
) -> None:
    """A shared cluster: whoever starts a worker later must not be sent what it cannot read."""
    chosen = many_cells(project, 1)
    (tmp_path / "paritylab.py").write_text("")  # no package of that name is found behind it
    words = ("dask", "worker", cluster.scheduler_address, "--no-nanny", "--no-dashboard")
    with (
        program(*words, until=JOINED, variables={"PYTHONPATH": str(tmp_path)}),
        pytest.raises(EngineError, match="cannot run our jobs") as caught,
        open_desk(cluster.scheduler_address, chosen, options(project)),
    ):
        pass
    assert "paritylab" in str(caught.value.why)
    assert "pip install 'paritylab[cluster]==" in str(caught.value.fix)
    assert not left(cluster)


def test_a_scheduler_forgets_a_run_that_is_interrupted_while_it_is_told(
    project: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C before the first cell leaves as little as Ctrl-C later."""
    register = Link.register

    def interrupted(link: Link) -> None:
        register(link)
        assert left(cluster)
        raise KeyboardInterrupt

    monkeypatch.setattr(Link, "register", interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        open_desk(cluster.scheduler_address, many_cells(project, 1), options(project)),
    ):
        pass
    assert not left(cluster)
