"""imagetransfer on the real engine: an image arrives whole and under its name, or not at all."""

import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from docker.client import DockerClient
from docker.errors import ImageNotFound
from rich.progress import Progress

from paritylab import imagetransfer
from paritylab.cluster.imagesource import image_source
from paritylab.errors import ImageError
from paritylab.model import Environment
from paritylab.stacks import Stack

pytestmark = pytest.mark.docker
QUIET = Progress(disable=True)
LOCK = "a lock"


@pytest.fixture
def tag(image_of: Callable[..., str]) -> str:
    """An image of our own with one file of noise, under a tag like ours."""
    name = f"paritylab/test-{os.getpid()}:cpu-{secrets.token_hex(4)}"
    image_of(name, os.urandom(1 << 16), f'LABEL paritylab.lock="{LOCK}"')
    return name


def forget(client: DockerClient, name: str) -> None:
    """Take an image from the engine, if it is there."""
    with suppress(ImageNotFound):
        client.images.remove(name, force=True)


def test_an_image_arrives_with_its_id_and_its_tag_and_only_once(
    client: DockerClient, tag: str, tmp_path: Path
) -> None:
    """What is there already neither travels nor is written again."""
    before = client.images.get(tag).id
    file = imagetransfer.export(client, tag, tmp_path, QUIET)
    written = file.stat().st_mtime_ns
    assert imagetransfer.export(client, tag, tmp_path, QUIET) == file
    assert file.stat().st_mtime_ns == written
    forget(client, tag)
    loaded = imagetransfer.load(client, file, QUIET)
    assert loaded is not None
    assert client.images.get(tag).id == before == loaded.image_id
    assert imagetransfer.load(client, file, QUIET) is None


def test_an_image_that_lost_its_tag_gets_it_again(
    client: DockerClient, tag: str, tmp_path: Path
) -> None:
    """An engine that has the layers needs the name alone."""
    file = imagetransfer.export(client, tag, tmp_path, QUIET)
    other = f"paritylab/test-other-{os.getpid()}"
    client.images.get(tag).tag(other)
    client.images.remove(tag)
    try:
        assert imagetransfer.load(client, file, QUIET) is None
        assert client.images.get(tag)
    finally:
        forget(client, other)


def cut(file: Path) -> None:
    """The copy stopped early."""
    os.truncate(file, file.stat().st_size // 2)


def altered(file: Path) -> None:
    """One bit in the middle of the layer."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def without_facts(file: Path) -> None:
    """The .json was left behind."""
    file.with_suffix(".json").unlink()


def strange_facts(file: Path) -> None:
    """The .json is somebody else's."""
    file.with_suffix(".json").write_text('{"tag": 1}')


def another_image(file: Path) -> None:
    """The .json names another image."""
    told = json.loads(file.with_suffix(".json").read_text())
    told["image_id"] = "sha256:" + "0" * 64
    file.with_suffix(".json").write_text(json.dumps(told))


@pytest.mark.parametrize("harm", [cut, altered, without_facts, strange_facts, another_image])
def test_what_is_not_whole_is_refused_by_name(
    client: DockerClient, tag: str, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """No part of an image is ever taken for it."""
    file = imagetransfer.export(client, tag, tmp_path, QUIET)
    image = str(client.images.get(tag).id)
    forget(client, tag)
    harm(file)
    with pytest.raises(ImageError, match="no whole image") as caught:
        imagetransfer.load(client, file, QUIET)
    assert str(file) in str(caught.value)
    assert imagetransfer.present(client, tag) is None
    forget(client, image)


def environment(lock: str) -> Environment:
    """An environment with this lock; nothing else of it matters here."""
    stack = Stack(
        device="cpu", folder=Path("x"), base="", tag="", index=None, overrides=(), packages={},
        lock_digest=lock,
    )  # fmt: skip
    return Environment(
        name="tiny", folder=Path("x"), title="", python="3.11", stacks={"cpu": stack}, profiles={},
        support={},
    )  # fmt: skip


def test_a_host_takes_its_image_from_the_folder_that_the_cluster_shares(
    client: DockerClient, tag: str, tmp_path: Path
) -> None:
    """Neither built nor pulled: the file that `images export` wrote is loaded."""
    imagetransfer.export(client, tag, tmp_path, QUIET)
    before = client.images.get(tag).id
    forget(client, tag)
    image = image_source({"tiny-cpu": tag}, {"folder": str(tmp_path)}, base="pull")
    assert image(client, environment(LOCK), "cpu") == before


def test_a_host_refuses_an_image_of_another_lock(client: DockerClient, tag: str) -> None:
    """Whoever can write to a registry cannot change what runs under our name."""
    image = image_source({"tiny-cpu": tag}, {}, base="pull")
    with pytest.raises(ImageError, match="not that of tiny-cpu"):
        image(client, environment("another lock"), "cpu")
