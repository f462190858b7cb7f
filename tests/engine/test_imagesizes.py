"""imagesizes on the real engine: an image of our own, whose layers pack as their content does."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient
from docker.errors import DockerException
from rich.progress import Progress

from paritylab import imagesizes

pytestmark = pytest.mark.docker
MIB = 1 << 20


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


@pytest.fixture(
    params=[(bytes(4 * MIB), 0.01), (os.urandom(4 * MIB), 1.01)], ids=["zeros", "noise"]
)
def image(request: pytest.FixtureRequest, client: DockerClient) -> Iterator[tuple[str, float]]:
    """An image of one file, and what share of it is left when it is packed."""
    content, share = request.param
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("file")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    name = f"paritylab-test-sizes-{os.getpid()}"
    client.api.import_image_from_data(tar.getvalue(), repository=name)
    yield str(client.images.get(name).id), share
    client.images.remove(name, force=True)


def test_sizes_are_those_of_gzip(client: DockerClient, image: tuple[str, float]) -> None:
    """Zeros pack to next to nothing, noise to itself; the second time nothing is packed."""
    name, share = image
    quiet = Progress(disable=True)
    first = imagesizes.compressed(client, name, quiet)
    [size] = first.values()
    assert 0 < size < share * 4 * MIB + MIB / 64
    assert share < 1 or size > 4 * MIB
    assert list(first) == client.images.get(name).attrs["RootFS"]["Layers"]
    [remembered] = first
    imagesizes._file(remembered).write_text("7")
    assert imagesizes.compressed(client, name, quiet) == {remembered: 7}
