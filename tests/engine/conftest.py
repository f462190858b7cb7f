"""Workers without a framework, on the real Docker engine.

The image is that of the environment tf2, built if need be; PARITYLAB_TEST_IMAGE names another one
that has a Python with NumPy in /opt/venv.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from docker.client import DockerClient
from docker.errors import ImageNotFound
from rich.progress import Progress

from paritylab import catalog
from paritylab.engines.docker import DockerEngine
from paritylab.engines.dockerclient import open_client
from paritylab.errors import DockerError
from paritylab.model import WorkerKey

PROJECT = Path(__file__).parent.parent.parent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs an engine where none answers, before any fixture asks it."""
    if item.get_closest_marker("docker") and (why := _no_engine()):
        pytest.skip(why)


@cache
def _no_engine() -> str:
    # Asked once: all these tests then stand in one line of the summary.
    try:
        open_client().close()
    except DockerError as fault:
        return "; ".join(line.strip() for line in str(fault).splitlines())
    return ""


@pytest.fixture(scope="session")
def open_docker() -> Callable[[], DockerEngine]:
    """Opens an engine; its image is a given one, or that of tf2."""
    given = os.environ.get("PARITYLAB_TEST_IMAGE")

    def opened() -> DockerEngine:
        try:
            if given:
                return DockerEngine(image=lambda *_: given)
            return DockerEngine(base="bootstrap", progress=Progress(disable=True))
        except DockerError as fault:
            pytest.skip(str(fault))

    return opened


@pytest.fixture(scope="session")
def numpy_key() -> WorkerKey:
    """A worker that imports nothing but NumPy."""
    loaded = catalog.load(PROJECT, labs=("multiply",), environments=("tf2",))
    return WorkerKey(
        environment=loaded.environments["tf2"], device="cpu", profile="native", preload=(),
        variables={"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerClient]:
    """The engine that answers at the usual place, and a cache of one's own."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    found = DockerClient.from_env(timeout=120)
    yield found
    found.close()


@pytest.fixture
def image_of(client: DockerClient) -> Iterator[Callable[..., str]]:
    """Makes an image of one file, ``image_of(name, content, *changes)``; it goes with the test."""
    made = []

    def imported(name: str, content: bytes, *changes: str) -> str:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            info = tarfile.TarInfo("file")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        repository, _, tag = name.partition(":")
        client.api.import_image_from_data(
            tar.getvalue(), repository=repository, tag=tag or "latest", changes=changes
        )
        made.append(name)
        return str(client.images.get(name).id)

    yield imported
    for name in made:
        with suppress(ImageNotFound):
            client.images.remove(name, force=True)
