import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from docker.client import DockerClient
from docker.errors import DockerException
from rich.progress import Progress

from paritylab import (
    bases,
    cache,
    catalog,
    hostpip,
    imagebuild,
    imagefile,
    imageparts,
    images,
    imagetransfer,
    locks,
)
from paritylab.bench import builds
from paritylab.errors import DiskFullError, ImageError
from paritylab.imagefacts import KIND
from paritylab.imagefile import ImageConfig
from paritylab.model import Environment

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from packages import make_wheel

from paritylab.wheelhouse import sha256

pytestmark = pytest.mark.docker
PROJECT = Path(__file__).parents[2]
QUIET = Progress(disable=True)
NAME = f"probe{os.getpid()}"
"""An environment of this process alone, so that several test runs share an engine."""


@pytest.fixture(scope="module")
def client() -> Iterator[DockerClient]:
    """The engine that answers at the usual place."""
    found = DockerClient.from_env(timeout=120)
    yield found
    # By id: one that lost its tag while a container of it ended has a label still.
    for image in found.images.list(filters={"label": f"paritylab.environment={NAME}"}):
        found.images.remove(image.id, force=True)
    found.close()


@pytest.fixture(scope="module")
def shared_bases() -> Path:
    """The base image of Debian packages, made once per machine."""
    if os.geteuid() or not shutil.which("mmdebstrap"):
        pytest.skip("needs root and mmdebstrap (apt-get install mmdebstrap) for a base image")
    bases.bootstrap(catalog.load(PROJECT, labs=["multiply"]).environments["tf2"], QUIET)
    return cache.folder("bases")


@pytest.fixture
def environment(tmp_path: Path, shared_bases: Path, monkeypatch) -> Environment:
    """A project with the real docker/ and one environment: a package of three files."""
    root, links, store = tmp_path / "project", tmp_path / "links", cache.folder("wheels")
    shutil.copytree(PROJECT / "docker", root / "docker")
    shutil.copytree(
        PROJECT / "tests/fixtures/valid/environments/tiny", root / "environments" / NAME
    )
    (root / "labs").mkdir()
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    cache.folder("bases").rmdir()
    cache.folder().joinpath("bases").symlink_to(shared_bases)
    for pin in locks.parse_lock(root / "docker/tools.lock").values():
        if (store / pin.hashes[0]).is_dir():
            shutil.copytree(store / pin.hashes[0], cache.folder("wheels") / pin.hashes[0])
    monkeypatch.setenv("PIP_FIND_LINKS", f"{os.environ.get('PIP_FIND_LINKS', '')} {links}".strip())
    hostpip.settings.cache_clear()
    return lock_wheel(root, make_wheel(links, "alpha"))


def lock_wheel(root: Path, *wheels: Path) -> Environment:
    """Make some wheels the whole lock of the environment; return it, read again."""
    folder = root / "environments" / NAME
    named = [wheel.name.split("-")[:2] for wheel in wheels]
    (folder / "cpu.in").write_text("".join(f"{name}=={version}\n" for name, version in named))
    (folder / "cpu.lock").write_text("")
    stack = catalog.load(root).environments[NAME].stacks["cpu"]
    pins = [
        locks.Pin(name=name, version=version, hashes=(sha256(wheel),)).requirement
        for (name, version), wheel in zip(named, wheels, strict=True)
    ]
    stack.lock.write_text("\n".join([locks.header(stack, "3.11") + pins[0], *pins[1:], ""]))
    return catalog.load(root).environments[NAME]


def ensure(client: DockerClient, environment: Environment, base: str = "bootstrap") -> str:
    """Build the image of the environment if need be."""
    return images.ensure(client, environment, "cpu", base=base, progress=QUIET)


def script_of(environment: Environment) -> Path:
    """The copy of install.sh that this test may change."""
    return environment.folder.parents[1] / "docker" / "install.sh"


def run(client: DockerClient, image: str, code: str) -> str:
    """Run Python in the image the way cells run: nobody, no network, nothing writable."""
    output = client.containers.run(
        image, ["python", "-c", code], network_mode="none", read_only=True, remove=True
    )
    return output.decode().strip()


def left_behind(client: DockerClient) -> list[str]:
    """Builds of this process that still have a container, a volume or an image without a name."""
    kinds = [
        [one.labels for one in client.containers.list(all=True, ignore_removed=True)],
        [one.attrs["Labels"] for one in client.volumes.list()],
        [one.labels for one in client.images.list(all=True)],
    ]
    found = {(labels or {}).get(imagebuild.BUILD, "") for kind in kinds for labels in kind}
    return [name for name in found if NAME in name]


def test_an_image_holds_the_lock_and_nothing_of_ours(client, environment) -> None:
    """Nobody can use it without network or a writable file; suites and headers are gone."""
    image = ensure(client, environment)
    assert run(client, image, "import alpha, os; print(alpha.VERSION, os.getuid())") == "1.0 65534"
    listing = "import os; print([n for b, d, f in os.walk('/opt/venv') for n in d + f])"
    names = run(client, image, listing)
    assert "alpha.h" not in names
    assert "test_alpha.py" not in names
    assert "uv_cache.json" not in names
    assert "__init__.cpython-311.pyc" in names
    assert "paritylab" not in names
    assert left_behind(client) == []


def test_nothing_changed_nothing_done(client, environment) -> None:
    """The second time costs less than a second."""
    first = ensure(client, environment)
    start = time.monotonic()
    assert ensure(client, environment) == first
    assert time.monotonic() - start < 1


def test_two_builds_from_scratch_are_the_same_image(client, environment) -> None:
    """Same input, same id: layers, dates and configuration."""
    first = ensure(client, environment)
    layers = client.images.get(first).attrs["RootFS"]["Layers"]
    client.images.remove(first, force=True)
    second = ensure(client, environment)
    assert client.images.get(second).attrs["RootFS"]["Layers"] == layers
    assert second == first


def test_a_changed_lock_is_another_image(client, environment, tmp_path: Path) -> None:
    """The tag follows the lock, so that only this image is built again."""
    base = bases.identify(environment, "cpu", mode="bootstrap", progress=QUIET)
    before = images.tag(environment, "cpu", base)
    root = environment.folder.parents[1]
    changed = lock_wheel(root, make_wheel(tmp_path / "links", "alpha", "2.0"))
    assert images.tag(changed, "cpu", base) != before
    assert run(client, ensure(client, changed), "import alpha; print(alpha.VERSION)") == "2.0"


def test_a_changed_line_leaves_the_large_packages_where_they_are(
    client, environment, tmp_path: Path, monkeypatch
) -> None:
    """Only the upper layer is new, and both are what a build from nothing makes."""
    root, links = environment.folder.parents[1], tmp_path / "links"
    large, small = make_wheel(links, "alphabet"), make_wheel(links, "beta")
    monkeypatch.setattr(imageparts, "LARGE", large.stat().st_size)
    first = client.images.get(ensure(client, lock_wheel(root, large, small)))
    foundation = first.labels[images.LABEL]
    try:
        newer = lock_wheel(root, large, make_wheel(links, "beta", "2.0"))
        second = client.images.get(ensure(client, newer))
        assert second.labels[images.LABEL] == foundation
        *below, top = second.attrs["RootFS"]["Layers"]
        assert first.attrs["RootFS"]["Layers"][:-1] == below
        assert client.images.get(foundation).attrs["RootFS"]["Layers"] == below
        assert first.attrs["RootFS"]["Layers"][-1] != top
        code = "import alphabet, beta; print(alphabet.VERSION, beta.VERSION)"
        assert run(client, second.id, code) == "1.0 2.0"
        for name in (first.id, second.id, foundation):
            client.images.remove(name, force=True)
        assert ensure(client, newer) == second.id
    finally:
        client.images.remove(foundation, force=True)


def test_the_layer_below_is_not_written_again(
    client, environment, tmp_path: Path, monkeypatch
) -> None:
    """What the upper layer weighs is its own: no file of the foundation was copied up."""
    root, links = environment.folder.parents[1], tmp_path / "links"
    large, small = make_wheel(links, "alphabet"), make_wheel(links, "beta")
    monkeypatch.setattr(imageparts, "LARGE", large.stat().st_size)
    image = client.images.get(ensure(client, lock_wheel(root, large, small)))
    try:
        saved = tmp_path / "image.tar"
        with saved.open("wb") as file:
            file.writelines(image.save())
        with tarfile.open(saved) as outer:
            layers = json.load(outer.extractfile("manifest.json"))[0]["Layers"]
            with tarfile.open(fileobj=outer.extractfile(layers[-1])) as top:
                names = [member.name for member in top if not member.isdir()]
    finally:
        client.images.remove(image.labels[images.LABEL], force=True)
    assert any("/beta/" in name for name in names)
    assert [name for name in names if "alphabet" in name or "pyvenv" in name] == []


def test_the_benchmark_of_builds_builds_and_leaves_nothing(
    client, environment, tmp_path: Path, monkeypatch
) -> None:
    """Ours and a plain `docker build`, with and without a changed line; only its own images go.

    A lock is all there is to install: `tf-keras` asks for `tensorflow`, and has `tensorflow-cpu`.
    """
    root, links = environment.folder.parents[1], tmp_path / "links"
    large, small = make_wheel(links, "alphabet"), make_wheel(links, "beta")
    monkeypatch.setattr(builds, "CHANGED", (small.name.split("-")[0],))
    monkeypatch.setattr(imageparts, "LARGE", large.stat().st_size)
    asks = {
        "alpha-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n"
        "Requires-Dist: nowhere-to-be-had\n"
    }
    probe = lock_wheel(root, large, small, make_wheel(links, "alpha", more=asks))
    image = client.images.get(ensure(client, probe))
    before = {one.id for one in client.images.list(all=True)}
    try:
        figures = builds.builds(probe, base="bootstrap", repeats=1, tell=print)
        assert client.images.get(image.id).tags == image.tags
        assert client.images.get(image.labels[images.LABEL])
        assert {one.id for one in client.images.list(all=True)} == before
    finally:
        client.images.remove(image.labels[images.LABEL], force=True)
    unchanged, line, *plain = figures
    assert unchanged.met is True
    assert 0 < line.median < 1
    assert all(figure.median > 0 for figure in plain)


def test_the_tag_covers_everything_that_makes_the_image(environment) -> None:
    """Base, lock, script, Dockerfile and installer: a change in any of them is a new name."""
    base = bases.identify(environment, "cpu", mode="bootstrap", progress=QUIET)
    names = {images.tag(environment, "cpu", base)}
    names.add(images.tag(environment, "cpu", replace(base, reference="sha256:other")))
    for file in ("install.sh", "Dockerfile", "tools.lock"):
        with script_of(environment).with_name(file).open("a") as changed:
            changed.write("\n")
        names.add(images.tag(environment, "cpu", base))
    assert len(names) == 5


def buildkit_command() -> list[str]:
    """A Docker CLI that can use BuildKit: with buildx, or old enough to have it built in."""
    for folder in os.environ["PATH"].split(os.pathsep):
        cli = shutil.which("docker", path=folder)
        if not cli:
            continue
        version = [cli, "version", "--format", "{{.Client.Version}}"]
        told = subprocess.run(version, capture_output=True, text=True, check=False).stdout
        buildx = subprocess.run([cli, "buildx", "version"], capture_output=True, check=False)
        if buildx.returncode == 0 or (told[:1].isdigit() and int(told.split(".")[0]) < 23):
            return [cli, "build"]
    pytest.skip("NOT CHECKED: no Docker CLI with BuildKit, so the Dockerfile is untested")


FILES = """
import hashlib, os, stat
for base, folders, files in sorted(os.walk("/opt")):
    for name in sorted(folders + files):
        path = os.path.join(base, name)
        facts = os.lstat(path)
        regular = stat.S_ISREG(facts.st_mode)
        digest = hashlib.sha256(open(path, "rb").read()).hexdigest() if regular else ""
        link = os.readlink(path) if os.path.islink(path) else ""
        owner = (facts.st_uid, facts.st_gid)
        print(path, oct(facts.st_mode), owner, int(facts.st_mtime), digest, link)
"""


def test_dockerfile_and_sdk_make_the_same_files(client, environment, tmp_path: Path) -> None:
    """`docker build` is the public recipe; our builder must not drift from it."""
    command = buildkit_command()
    ours = ensure(client, environment)
    base = bases.identify(environment, "cpu", mode="bootstrap", progress=QUIET)
    bases.provide(client, base, environment, mode="bootstrap")
    made = images.context(environment, "cpu", tmp_path / "context", base=base, progress=QUIET)
    # BuildKit resolves names, not ids.
    arguments = {**made.arguments, "BASE": base.title}
    tag = f"paritylab/{NAME}:buildkit"
    command += ["--network", "none", "--no-cache", "--tag", tag]
    command += ["--label", "paritylab.kind=image", "--file", str(PROJECT / "docker/Dockerfile")]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    done = subprocess.run(
        [*command, str(made.folder)],
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert run(client, tag, FILES) == run(client, ours, FILES)
    theirs, own = (client.images.get(name).attrs["Config"] for name in (tag, ours))
    for key in ("User", "Cmd"):
        assert theirs[key] == own[key]
    assert set(theirs["Env"]) == set(own["Env"])


def test_a_base_that_cannot_be_pulled_names_the_way_out(client, environment) -> None:
    """Without a registry people are told about the bootstrap."""
    stack = environment.stacks["cpu"]
    nowhere = replace(stack, base="localhost:1/no/python@sha256:" + "0" * 64)
    stranded = replace(environment, stacks={"cpu": nowhere})
    with pytest.raises(ImageError) as caught:
        ensure(client, stranded, base="auto")
    assert "--base bootstrap" in caught.value.fix


def test_a_failing_script_is_told_with_its_last_words(client, environment) -> None:
    """A build that fails says why and leaves nothing."""
    script_of(environment).write_text("echo the reason; exit 7\n")
    with pytest.raises(ImageError) as caught:
        ensure(client, environment)
    assert "exited with 7: the reason" in caught.value.why
    assert left_behind(client) == []


def test_a_load_that_the_engine_refuses_is_an_error(client) -> None:
    """It answers 200 and then says no: nobody is given the id of an image that is not there."""
    nowhere = ImageConfig(layers=["sha256:" + "1" * 64], history=["nobody"], runtime={})
    with pytest.raises(ImageError, match="could not be built") as caught:
        imagefile.load(client, nowhere, f"paritylab/{NAME}:nowhere")
    assert "layer.tar" in caught.value.why
    assert imagetransfer.present(client, nowhere.image_id) is None


@contextmanager
def sleeping_build(
    client: DockerClient, environment: Environment, **variables: str
) -> Iterator[subprocess.Popen]:
    """Another process in the middle of a build; interrupted at the end."""
    script_of(environment).write_text("echo == sleeping; sleep 60\n")
    code = f"""
        from pathlib import Path
        from docker.client import DockerClient
        from rich.progress import Progress
        from paritylab import catalog, images
        root = Path({str(environment.folder.parents[1])!r})
        probe = catalog.load(root).environments[{NAME!r}]
        images.ensure(DockerClient.from_env(), probe, "cpu", base="bootstrap",
                      progress=Progress(disable=True))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **variables},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    try:
        while not running(client, environment):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT or "KeyboardInterrupt" in errors


def running(client: DockerClient, environment: Environment) -> list[str]:
    """The containers in which an image of the environment is built at the moment."""
    base = bases.identify(environment, "cpu", mode="bootstrap", progress=QUIET)
    label = f"{imagebuild.BUILD}={images.tag(environment, 'cpu', base)}"
    found = client.containers.list(filters={"label": label, "status": "running"})
    return [str(container.id) for container in found]


def test_ctrl_c_leaves_nothing(client, environment) -> None:
    """Interrupted in the middle of a build: no container, no volume, no image of any name."""
    with sleeping_build(client, environment):
        assert left_behind(client) != []
    assert left_behind(client) == []


@pytest.fixture
def pair(environment) -> list[Environment]:
    """Two environments of one project, whose images are built at a time."""
    shutil.copytree(environment.folder, environment.folder.with_name(f"{NAME}b"))
    loaded = catalog.load(environment.folder.parents[1])
    return list(loaded.environments.values())


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_two_images_are_built_at_a_time_and_ctrl_c_ends_both(client, pair) -> None:
    """Exit code 130 within seconds, though each build would take a minute; nothing is left."""
    script_of(pair[0]).write_text("echo == sleeping; sleep 60\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "paritylab", "images", "build", "--base", "bootstrap"],
        env={**os.environ, "PARITYLAB_ROOT": str(pair[0].folder.parents[1])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not all(running(client, one) for one in pair):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert left_behind(client) == []


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_an_image_that_cannot_be_built_ends_the_other_build(client, pair) -> None:
    """Exit code 2 with the reason (a lock) at once: nobody waits a minute for the other one."""
    script_of(pair[0]).write_text('cat "$(dirname "$0")/lock"; sleep 60\n')
    pair[1].stacks["cpu"].lock.write_text("")
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "paritylab", "images", "build", "--base", "bootstrap"],
        env={**os.environ, "PARITYLAB_ROOT": str(pair[0].folder.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert f"{NAME}b" in done.stderr
    assert time.monotonic() - begun < 40
    assert left_behind(client) == []


def test_a_build_leaves_that_of_another_user_alone(
    client, environment, tmp_path: Path, monkeypatch
) -> None:
    """One engine, the same tag, a cache of one's own: neither a build nor a prune touches it."""
    other = tmp_path / "other"
    shutil.copytree(cache.folder("wheels"), other / "wheels")
    (other / "bases").symlink_to(cache.folder("bases"))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(imagebuild, "_install", interrupted)
    with sleeping_build(client, environment, PARITYLAB_CACHE=str(other)):
        theirs = running(client, environment)
        with pytest.raises(KeyboardInterrupt):
            ensure(client, environment)
        images.prune(client, (), environment=NAME)
        assert running(client, environment) == theirs
        labels = [one.labels for one in client.containers.list(all=True, ignore_removed=True)]
        assert sum(NAME in told.get(imagebuild.BUILD, "") for told in labels) == 1, "ours is gone"
    assert left_behind(client) == []


def test_ctrl_c_while_the_image_is_loaded_leaves_nothing(client, environment, monkeypatch) -> None:
    """What was committed is there and has no name yet: it goes as well."""
    seen = []

    def interrupted(*_: object) -> str:
        seen.extend(left_behind(client))
        raise KeyboardInterrupt

    with script_of(environment).open("a") as script:
        script.write("# so that it is built once more\n")
    monkeypatch.setattr(imagefile, "load", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ensure(client, environment)
    assert seen, "the build was not under way"
    assert left_behind(client) == []


def test_what_a_killed_build_committed_is_removed(client, environment) -> None:
    """kill -9 while it was committed leaves an image without a name; prune removes it."""
    base = bases.identify(environment, "cpu", mode="bootstrap", progress=QUIET)
    tag = images.tag(environment, "cpu", base)
    below = bases.provide(client, base, environment, mode="bootstrap")
    labels = {KIND: "build", imagebuild.BUILD: tag}
    container = client.containers.create(below, ["true"], labels=labels)
    committed = container.commit().id
    container.remove()
    assert left_behind(client) == [tag]
    assert committed in images.prune(client, (), environment=NAME)
    assert left_behind(client) == []


def test_what_a_killed_build_left_is_removed(client, environment) -> None:
    """kill -9 leaves a container and a volume; prune and the next build remove them."""
    base = bases.identify(environment, "cpu", mode="bootstrap", progress=QUIET)
    tag = images.tag(environment, "cpu", base)
    labels = {KIND: "build", imagebuild.BUILD: tag}
    volume = client.volumes.create(labels=labels)
    with cache.locked(images._build_lock(tag)):
        images.prune(client, (), environment=NAME)
        assert left_behind(client) == [tag], "a build that runs must not be swept away"
    assert volume.name in images.prune(client, (), environment=NAME)
    assert left_behind(client) == []


def test_listing_shows_what_each_layer_weighs(client, environment) -> None:
    """Size per layer, and who made it; prune keeps what it is told to."""
    image = ensure(client, environment)
    [row] = [row for row in images.listing(client) if row.image_id == image]
    assert [layer.made_by for layer in row.layers][-1] == "docker/install.sh python3.11 cpu"
    assert sum(layer.size for layer in row.layers) == row.size
    assert images.prune(client, [image], environment=NAME) == []
    assert images.prune(client, images.current(environment, "cpu"), environment=NAME) == []
    assert images.prune(client, [], environment=NAME) == [row.tag]


@pytest.fixture
def small_engine(tmp_path: Path) -> Iterator[tuple[DockerClient, Path]]:
    """A second engine on a disk of 320 MB, in a network namespace of its own."""
    if os.geteuid() or not shutil.which("dockerd"):
        pytest.skip("needs root and dockerd on this machine: a second engine on a small disk")
    home, run_folder = tmp_path / "disk", Path(f"/tmp/{NAME}-engine")
    home.mkdir()
    run_folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320m", "tmpfs", str(home)], check=True)
    # Without a namespace of its own it would take the first engine's bridge away.
    command = ["unshare", "--net", "dockerd", "--bridge=none", "--iptables=false"]
    command += [f"--data-root={home}", f"--exec-root={run_folder}/exec"]
    command += [f"--pidfile={run_folder}/pid", f"--host=unix://{run_folder}/socket"]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield _answering(f"unix://{run_folder}/socket", process, tmp_path / "log"), home
    finally:
        process.terminate()
        process.wait(timeout=30)
        subprocess.run(["umount", "--recursive", str(home)], check=False)
        subprocess.run(["umount", "--lazy", str(home)], check=False, capture_output=True)
        shutil.rmtree(run_folder, ignore_errors=True)


def _answering(address: str, process: subprocess.Popen, log: Path) -> DockerClient:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return DockerClient(base_url=address, version="auto", timeout=120)
        except DockerException:
            time.sleep(0.2)
    pytest.skip(f"a second engine does not start here: {log.read_text()[-500:]}")


def test_a_full_disk_is_told_while_a_base_is_loaded(small_engine, environment) -> None:
    """The engine says so in the stream of a 200: DiskFullError, and no id of nothing."""
    client, home = small_engine
    base = bases.identify(environment, "cpu", mode="bootstrap", progress=QUIET)
    (home / "filler").write_bytes(b"\0" * (shutil.disk_usage(home).free - 8_000_000))
    with pytest.raises(DiskFullError) as caught:
        bases.provide(client, base, environment, mode="bootstrap")
    assert "paritylab images prune" in caught.value.fix
    assert client.images.list(all=True) == []


def test_a_full_disk_is_told_while_an_export_is_loaded(
    small_engine, client, image_of, tmp_path: Path
) -> None:
    """It is not blamed on the file, which is whole; and the engine has no image afterwards."""
    small, home = small_engine
    tag = f"paritylab/{NAME}:cpu-export"
    image_of(tag, os.urandom(20_000_000))
    file = imagetransfer.export(client, tag, tmp_path / "exports", QUIET)
    (home / "filler").write_bytes(b"\0" * (shutil.disk_usage(home).free - 8_000_000))
    with pytest.raises(DiskFullError) as caught:
        imagetransfer.load(small, file, QUIET)
    assert "paritylab images prune" in caught.value.fix
    assert small.images.list(all=True) == []


@pytest.mark.parametrize("moment", ["sending", "installing"])
def test_a_full_disk_is_told_as_such(small_engine, environment, moment: str) -> None:
    """No space left, in any phase: DiskFullError with what to type, and nothing left behind."""
    client, home = small_engine
    base = bases.identify(environment, "cpu", mode="bootstrap", progress=QUIET)
    bases.provide(client, base, environment, mode="bootstrap")
    if moment == "sending":
        space = shutil.disk_usage(home).free - 8_000_000
        (home / "filler").write_bytes(b"\0" * space)
    else:
        with script_of(environment).open("a") as script:
            script.write("head -c 400000000 /dev/zero >/opt/filler\n")
    with pytest.raises(DiskFullError) as caught:
        ensure(client, environment)
    assert "paritylab images prune" in caught.value.fix
    assert left_behind(client) == []
