"""imagesizes on the real engine: an image of our own, whose layers pack as their content does."""

import os
from collections.abc import Callable

import pytest
from docker.client import DockerClient
from rich.progress import Progress

from paritylab import imagesizes

pytestmark = pytest.mark.docker
MIB = 1 << 20


@pytest.fixture(
    params=[(bytes(4 * MIB), 0.01), (os.urandom(4 * MIB), 1.01)], ids=["zeros", "noise"]
)
def image(request: pytest.FixtureRequest, image_of: Callable[..., str]) -> tuple[str, float]:
    """An image of one file, and what share of it is left when it is packed."""
    content, share = request.param
    return image_of(f"paritylab-test-sizes-{os.getpid()}", content), share


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
