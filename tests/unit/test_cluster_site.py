"""cluster.site and cluster.plugin: what a host does with what it is told, and with the rest."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clusters import locally, many_cells, options, told
from distributed import Client, LocalCluster, Worker

from paritylab import commands, errands, imagebuild
from paritylab.cluster import cells, kits, messages
from paritylab.cluster import site as clustersite
from paritylab.cluster.cells import open_desk, run_cells
from paritylab.cluster.manifest import Manifest
from paritylab.cluster.plugin import SitePlugin, UnknownRunError, name_of, perform
from paritylab.cluster.site import ClosingError, Site
from paritylab.engines.here import HereEngine
from paritylab.errands import Errand, Report
from paritylab.errors import ImageError, WorkerError
from paritylab.runner import Settings, job_of, problem_of
from paritylab.turns import until
from paritylab.worker import pack, read_frame


@pytest.fixture
def errand(project: Path) -> Errand:
    """A cell of the fixture project."""
    cell = many_cells(project, 1)[0]
    job = job_of(cell, problem_of(cell.lab, Settings()), Settings())
    return Errand(id="a", key=cell.worker_key("portable"), job=job)


@pytest.fixture
def facts(errand: Errand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What hosts are told of a run of it, with workers of this interpreter."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    kit = kits.pack([errand.key.environment])
    return asdict(Manifest(run="one", engine="here", base="slim", kit=kit))


@pytest.fixture
def client() -> Iterator[Client]:
    """Of a scheduler with one Dask worker, all in this process."""
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://",
            dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs=50,
        ) as cluster,
        Client(cluster) as opened,
    ):  # fmt: skip
        yield opened
        for name in list(_worker(opened).plugins):
            if name.startswith(name_of("")):
                opened.unregister_worker_plugin(name)


def _worker(client: Client) -> Worker:
    (found,) = client.cluster.workers.values()
    return found


def _site(client: Client, run: str) -> Site:
    return _worker(client).plugins[name_of(run)].site


def _only(data: bytes) -> Report:
    (found,) = messages.read_reports(data, ["a"])
    return found


def _soon(what: Callable[[], bool]) -> bool:
    pause = threading.Event()
    return any(what() or pause.wait(0.05) for _ in range(200))


def test_a_host_that_once_could_not_open_still_rests(
    facts: dict[str, Any], errand: Errand, tmp_path: Path
) -> None:
    """After a first job that found no engine the idle time still ends the workers of later ones."""
    site = Site({**facts, "idle": 0.1}, host="h", threads=1)
    (tmp_path / "cache").write_text("no folder")
    refused = _only(site.perform(messages.pack_errand(errand)))
    assert (refused.elsewhere, "cache" in str(refused.answer)) == (True, True)
    (tmp_path / "cache").unlink()
    try:
        assert _only(site.perform(messages.pack_errand(errand))).answer.status == "ok"
        assert _soon(lambda: site._shop is None)
    finally:
        site.close()


class Asked(threading.Thread):
    """A thread of a site that is asked an errand; ``fault`` is how it ended."""

    def __init__(self, site: Site, errand: Errand) -> None:
        super().__init__(daemon=True)
        self.site, self.message = site, messages.pack_errand(errand)
        self.fault: Exception | None = None
        self.start()

    def run(self) -> None:
        """See Thread."""
        try:
            self.site.perform(self.message)
        except Exception as fault:
            self.fault = fault

    def ends(self) -> str:
        """Its end, which comes within seconds."""
        self.join(10)
        assert not self.is_alive()
        return type(self.fault).__name__


def test_a_host_that_is_told_to_end_installs_nothing_more(
    facts: dict[str, Any], errand: Errand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C of the desk ends a program in the middle of it, not minutes later."""
    words = ("sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    command = commands.Command(argv=words, what="it failed")
    monkeypatch.setattr(HereEngine, "prepare", lambda *_: commands.run(command))
    site = Site(facts, host="h", threads=2)
    asked = [Asked(site, errand) for _ in range(2)]
    assert _soon(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    site.close()
    assert [one.ends() for one in asked] == [ClosingError.__name__] * 2
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


@pytest.mark.parametrize("where", ["opening a school", "preparing in a shop"])
def test_a_host_that_is_told_to_end_builds_nothing_more(
    facts: dict[str, Any], errand: Errand, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The engine is told to end the build; its fault is no answer of this host."""
    begun, halted = threading.Event(), threading.Event()

    def build(*_: Any) -> None:
        begun.set()
        halted.wait(30)
        raise ImageError("its container is gone")

    if where == "opening a school":
        monkeypatch.setattr(clustersite, "_opened", build)
    else:
        monkeypatch.setattr(HereEngine, "prepare", build)
    monkeypatch.setattr(clustersite, "halt", lambda _: halted.set())
    site = Site(facts, host="h", threads=1)
    asked = Asked(site, errand)
    assert begun.wait(10)
    since = time.monotonic()
    site.close()
    assert time.monotonic() - since < 10
    assert asked.ends() == ClosingError.__name__


def test_a_host_that_cannot_stop_opening_does_not_keep_the_desk(
    facts: dict[str, Any], errand: Errand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that is being pulled comes to its end: what was opened for it is closed then."""
    begun, pulled, closed = (threading.Event() for _ in range(3))

    def pull(*_: Any) -> SimpleNamespace:
        begun.set()
        pulled.wait(30)
        return SimpleNamespace(close=closed.set)

    monkeypatch.setattr(clustersite, "_opened", pull)
    site = Site(facts, host="h", threads=1)
    asked = Asked(site, errand)
    assert begun.wait(10)
    site.close()
    assert asked.is_alive()
    pulled.set()
    assert asked.ends() == ClosingError.__name__
    assert closed.is_set()


def test_a_run_that_ends_leaves_the_builds_of_another_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two runs may prepare images in one Dask worker; and what is built already is no build."""
    swept: list[str] = []
    monkeypatch.setattr(imagebuild, "open_client", lambda: "client")
    monkeypatch.setattr(imagebuild, "sweep", lambda _, tag: swept.append(tag))
    ours, theirs = threading.Event(), threading.Event()
    with until(theirs), imagebuild._under_way("theirs"), until(ours):
        with imagebuild._under_way("built"):
            pass
        with imagebuild._under_way("ours"):
            imagebuild.halt(ours)
    assert swept == ["ours"]


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": messages.PROTOCOL + 1},
        {"version": "0.0.1"},
        {"version": "9.9", "unheard": "of"},
        {"unheard": "of"},
    ],
)
def test_a_host_of_another_version_says_what_to_install(
    facts: dict[str, Any], errand: Errand, other: dict[str, Any]
) -> None:
    """The remedy is told before anything that the other version may have changed is read."""
    header, payload = read_frame(_reader(messages.pack_errand(errand)))
    order = pack({**header, "kind": "order", "unheard": "of"}, payload)
    report = _only(Site(facts | other, host="h", threads=1).perform(order))
    assert isinstance(report.answer, WorkerError)
    assert report.elsewhere
    wanted = (facts | other)["version"]
    assert f"pip install 'paritylab[cluster]=={wanted}'" in str(report.answer)
    assert f"the run is of {wanted}" in str(report.answer)


def _reader(data: bytes) -> Callable[[int], bytes]:
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        position += size
        return data[position - size : position]

    return read


def test_a_host_of_another_version_joins_and_says_so(
    client: Client, facts: dict[str, Any], errand: Errand
) -> None:
    """A manifest with a field that a host does not know is no failure of the registration."""
    client.register_plugin(SitePlugin({**facts, "version": "9.9", "unheard": "of"}))
    future = client.submit(perform, "one", messages.pack_errand(errand), pure=False)
    assert "pip install 'paritylab[cluster]==9.9'" in str(_only(future.result()).answer)


def test_a_scheduler_that_is_told_twice_keeps_its_sites(
    client: Client, facts: dict[str, Any], errand: Errand
) -> None:
    """What runs on hosts goes on when the desk tells the scheduler of its run again."""
    client.register_plugin(SitePlugin(facts))
    site = _site(client, "one")
    client.register_plugin(SitePlugin(facts))
    assert _site(client, "one") is site
    future = client.submit(perform, "one", messages.pack_errand(errand), pure=False)
    assert _only(future.result()).answer.status == "ok"


def test_another_run_has_a_site_of_its_own(client: Client, facts: dict[str, Any]) -> None:
    """A second desk with other facts gets not the first one's site, and ends its own alone."""
    client.register_plugin(SitePlugin(facts))
    client.register_plugin(SitePlugin({**facts, "run": "two", "engine": "docker"}))
    assert _site(client, "one").facts["engine"] == "here"
    assert _site(client, "two").facts["engine"] == "docker"
    client.unregister_worker_plugin(name_of("two"))
    assert not _site(client, "one")._over.is_set()
    client.register_plugin(SitePlugin({**facts, "run": "two", "engine": "uv"}))
    assert _site(client, "two").facts["engine"] == "uv"


def test_a_worker_that_missed_it_asks_the_scheduler(
    client: Client, facts: dict[str, Any], errand: Errand
) -> None:
    """A host that was away when the run was told takes part, and opens one site for all threads."""
    client.register_plugin(SitePlugin(facts))

    async def forget(dask_worker: Worker) -> None:
        await dask_worker.plugin_remove(name=name_of("one"))

    client.run(forget)
    assert name_of("one") not in _worker(client).plugins
    message = messages.pack_errand(errand)
    futures = [client.submit(perform, "one", message, pure=False) for _ in range(4)]
    assert [_only(one.result()).answer.status for one in futures] == ["ok"] * 4


def test_a_run_that_the_scheduler_does_not_know_is_told(client: Client) -> None:
    """Nobody knows of it: the desk is to tell the scheduler."""
    with pytest.raises(UnknownRunError):
        client.submit(perform, "none", b"", pure=False).result()


def test_only_text_of_an_exception_travels(client: Client, facts: dict[str, Any]) -> None:
    """Neither class nor cause of what went wrong on a host reaches the desk."""
    client.register_plugin(SitePlugin(facts))
    fault = client.submit(perform, "one", b"noise", pure=False).exception()
    assert type(fault) is RuntimeError
    assert str(fault).startswith(("MalformedError: ", "error: "))
    assert (fault.__cause__, fault.__context__) == (None, None)


FORGES = """
import json, os, struct

def run(inputs, workdir):
    head = {"kind": "error", "type": "E", "traceback": "", "memory": False, "micros": 5}
    text = json.dumps({**head, "message": chr(233) * 1_600_000}, ensure_ascii=False).encode()
    frame = struct.pack(">4sHIQ", b"PLAB", 1, len(text), 0) + text
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                with os.fdopen(os.dup(int(name)), "wb") as file:
                    file.write(frame)
            except OSError:
                pass
    os._exit(1)
"""


def test_a_forged_answer_spoils_no_cell_of_its_batch(
    project: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception of 3 MB is the verdict of one machine, and the rest of the batch is green."""
    monkeypatch.setattr(cells, "batch_size", lambda *_: errands.BATCH)
    chosen = many_cells(project, 4)
    (project / "labs/double-02/pytorch.py").write_text(FORGES)
    with open_desk(client.scheduler.address, chosen, options(project)) as desk:
        found = run_cells(chosen, desk, Settings())
    assert told(found) == told(locally(chosen))
    assert [one.cell for one in found if not one.verdict.green] == ["double-02-pytorch@tiny-cpu"]
