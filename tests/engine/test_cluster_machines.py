"""A cluster of separate hosts: own networks, own engines; one is cut off in the middle of a run."""

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from docker.client import DockerClient
from rich.progress import Progress

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from clusters import free_port, host, locally, many_cells, options, scheduler, told
from machines import OURS, PREFIX, Machine, engine, machines

from paritylab import bases, catalog, errands, images, imagetransfer, locks
from paritylab.cluster.cells import open_desk, run_cells
from paritylab.engines.docker import DockerEngine
from paritylab.model import Cell, CellResult
from paritylab.runner import Settings, run_all

ROOT = Path(__file__).parents[2]
QUIET = Progress(disable=True)
IMPATIENT = {
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "11s",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "6s",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the fixture project with an environment of this process alone."""
    shutil.copytree(ROOT / "tests/fixtures/valid", tmp_path / "project")
    environments = tmp_path / "project/environments"
    (environments / "tiny").rename(environments / PREFIX)
    (tmp_path / "project/cluster.toml").write_text(
        f"[patience]\nhost = 11.0\n\n[images]\nfolder = '{tmp_path}/images'\n"
    )
    return tmp_path / "project"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Machine]]:
    """Two namespaces; their folders have short paths, for the sockets in them."""
    folder = Path("/tmp") / PREFIX
    try:
        with machines(folder, 2) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_and_cut(
    chosen: list[Cell], project: Path, hosts: list[Machine], port: int, kind: str
) -> tuple[list[CellResult], list[str], dict[str, int]]:
    """Run the cells; cut the first host off once it has answered and others have, too."""
    seen: list[str] = []

    def done(result: CellResult) -> None:
        seen.append(result.cell)
        if len(seen) == 4:
            assert desk.hosts.get(hosts[0].address), "the host that is cut off took part"
            hosts[0].cut_off()

    chosen_options = replace(options(project), engine=kind, base="bootstrap")
    with open_desk(f"tcp://{OURS}:{port}", chosen, chosen_options) as desk:
        found = run_cells(chosen, desk, Settings(), done=done)
        return found, seen, dict(desk.hosts)


def test_a_host_that_is_cut_off_costs_no_cell(
    project: Path, hosts: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cells run again on the other host; each is told once, with the digest of one machine."""
    monkeypatch.setattr(errands, "BATCH", 1)
    chosen, port = many_cells(project, 8, seconds=0.3), free_port()
    with ExitStack() as stack:
        stack.enter_context(scheduler(port, OURS, variables=IMPATIENT))
        for one in hosts:
            how = {"prefix": one.prefix, "variables": one.variables | IMPATIENT}
            stack.enter_context(host(f"tcp://{OURS}:{port}", **how))
        found, seen, by = run_and_cut(chosen, project, hosts, port, "here")
    assert Counter(seen) == Counter(cell.id for cell in chosen)
    assert sum(by.values()) == len(chosen)
    assert by[hosts[1].address] > by[hosts[0].address]
    assert told(found) == told(locally(chosen))


@pytest.fixture
def image(project: Path, tmp_path: Path) -> Iterator[str]:
    """The image of that environment (NumPy alone), built here and exported for the hosts."""
    if not shutil.which("mmdebstrap") or not shutil.which("dockerd"):
        pytest.skip("needs dockerd and mmdebstrap (apt-get install docker.io mmdebstrap)")
    client = DockerClient.from_env(timeout=120)
    with_numpy(project)
    own = catalog.load(project).environments[PREFIX]
    images.ensure(client, own, "cpu", base="bootstrap", progress=QUIET)
    base = bases.identify(own, "cpu", mode="bootstrap", progress=QUIET)
    tag = images.tag(own, "cpu", base)
    imagetransfer.export(client, tag, tmp_path / "images", QUIET)
    yield tag
    client.images.remove(tag, force=True)


def with_numpy(project: Path) -> None:
    """Lock the environment to the NumPy of tf2, which every machine that tests has."""
    (pin,) = [
        pin for pin in locks.parse_lock(ROOT / "environments/tf2/cpu.lock").values()
        if pin.name == "numpy"
    ]  # fmt: skip
    folder = project / "environments" / PREFIX
    (folder / "cpu.in").write_text(f"numpy=={pin.version}\n")
    (folder / "cpu.lock").write_text("")
    stack = catalog.load(project).environments[PREFIX].stacks["cpu"]
    stack.lock.write_text(locks.header(stack, "3.11") + pin.requirement + "\n")


@pytest.mark.docker
def test_each_host_has_its_own_engine_and_loads_its_image_once(
    project: Path, image: str, hosts: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two engines that never saw the image; the one is cut off; digests are those of a third."""
    monkeypatch.setattr(errands, "BATCH", 1)
    chosen, port = many_cells(project, 8, seconds=0.3), free_port()
    with ExitStack() as stack:
        engines = [stack.enter_context(engine(one)) for one in hosts]
        assert not [found for one in engines for found in one.images.list()]
        stack.enter_context(scheduler(port, OURS, variables=IMPATIENT))
        for one in hosts:
            how = {"prefix": one.prefix, "variables": one.variables | IMPATIENT}
            stack.enter_context(host(f"tcp://{OURS}:{port}", **how))
        found, seen, by = run_and_cut(chosen, project, hosts, port, "docker")
        assert [loads(one) for one in engines] == [[one.images.get(image).id] for one in engines]
        assert not engines[1].containers.list(all=True), "the run has ended on every host"
        assert ends(engines[0]), "a host that is cut off ends what it runs, once it has noticed"
    assert Counter(seen) == Counter(cell.id for cell in chosen)
    assert by[hosts[1].address] > by[hosts[0].address] > 0
    with DockerEngine(base="bootstrap") as own:
        assert told(found) == told(run_all(chosen, own, Settings(), jobs=2))


def loads(one: DockerClient) -> list[str]:
    """The images that were given to an engine; it remembers its last 256 events."""
    asked = {"type": "image", "event": "load"}
    told = one.events(since=0, until=int(time.time()), filters=asked, decode=True)
    return [event["Actor"]["ID"] for event in told]


def ends(one: DockerClient) -> bool:
    """Whether an engine has no container any more, within a minute."""
    for _ in range(120):
        if not one.containers.list(all=True):
            return True
        time.sleep(0.5)
    return False


def test_namespaces_leave_nothing_behind(tmp_path: Path) -> None:
    """What these tests make is gone after them, also where a process lives on in a namespace."""
    with machines(tmp_path, 2) as made:
        names = {one.name for one in made}
        names |= {f"{name}v" for name in names} | {f"{PREFIX}b"}
        assert names <= listed()
        lives_on = subprocess.Popen([*made[0].prefix, "sleep", "600"])
    try:
        assert not names & listed()
    finally:
        lives_on.kill()
        lives_on.wait()


def listed() -> set[str]:
    """The names of this machine's links and namespaces."""
    found: set[str] = set()
    for words, key in ((["link"], "ifname"), (["netns", "list"], "name")):
        said = subprocess.run(["ip", "-j", *words], capture_output=True, text=True, check=True)
        found |= {one[key] for one in json.loads(said.stdout or "[]")}
    return found
