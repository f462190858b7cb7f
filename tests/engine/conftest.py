"""Workers without a framework, on the real Docker engine.

The image is that of the environment tf2, built if need be; PARITYLAB_TEST_IMAGE names another one
that has a Python with NumPy in /opt/venv.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from docker.client import DockerClient
from docker.errors import DockerException, ImageNotFound
from rich.progress import Progress

from paritylab import catalog
from paritylab.engines.docker import DockerEngine
from paritylab.errors import DockerError
from paritylab.model import WorkerKey

PROJECT = Path(__file__).parent.parent.parent


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
    try:
        found = DockerClient.from_env(timeout=120)
        found.ping()
    except DockerException as fault:
        pytest.skip(f"no Docker engine answers: {fault}")
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
