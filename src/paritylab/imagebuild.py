"""The SDK's route to an image: run docker/install.sh in a container without network, then commit.

Everything travels over the API into a volume, so that a remote engine works as well; the layer
is what the script wrote, the same bytes as from ``docker build`` with the one Dockerfile.
"""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests
from docker.client import DockerClient
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import Mount
from rich.progress import Progress

from paritylab import imagefile, turns
from paritylab.engines.dockerclient import open_client
from paritylab.engines.sandbox import orphaned, ours, remove, run_labels
from paritylab.errors import DockerError, LabError
from paritylab.imagefacts import KIND
from paritylab.imagefile import ImageConfig

PATIENCE = 3600
"""Seconds that one call may take; unpacking, committing and loading gigabytes is slow."""
BUILD = "paritylab.build"
FOUNDATION = "foundation"
"""The kind of an image that others of ours are built on."""
_builds: dict[str, threading.Event | None] = {}
"""The tags that threads of this process build, and what tells each thread that it is over."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one image is built from: base image, files by name, the script's arguments, labels.

    ``foundation`` is what must be built first, to be the base in ``base``'s place.
    """

    tag: str
    base: str
    files: Mapping[str, Path]
    arguments: tuple[str, ...]
    dockerfile: Path
    labels: Mapping[str, str]
    foundation: Recipe | None = None


def build(client: DockerClient, recipe: Recipe, progress: Progress) -> str:
    """Build the image under its tag; return its id. Same recipe, same id.

    Raises DiskFullError or ImageError; whatever happens, also Ctrl-C, no container, no volume and
    no image without a name is left.
    """
    with patient(client), _told_in_words(recipe.tag), _under_way(recipe.tag):
        sweep(client, recipe.tag)
        try:
            container = _container(client, recipe)
            _send(container, recipe, progress)
            _install(container, recipe, progress)
            return _commit(client, container, recipe, progress)
        finally:
            task = progress.add_task(f"{_short(recipe.tag)}: clearing up", total=None)
            sweep(client, recipe.tag)
            progress.update(task, total=1, completed=1)


def sweep(client: DockerClient, tag: str) -> list[str]:
    """Remove what builds of one tag have left on their way; return the names of what went.

    What living runs and other machines are at work on stays theirs: see sandbox.
    """
    found = _leftovers(client, f"{BUILD}={tag}")
    for leftover in found:
        with suppress(NotFound):
            leftover.remove(leftover.name)
    return [leftover.name for leftover in found]


def halt(over: threading.Event) -> None:
    """End the builds whose threads ``over`` tells to stop; they fail, and clear up themselves."""
    tags = [tag for tag, event in list(_builds.items()) if event is over]
    for tag in tags:
        # They clear up at the same time; and whoever stops has an error of its own to tell.
        with suppress(LabError, DockerException, requests.RequestException):
            sweep(open_client(), tag)


@contextmanager
def _under_way(tag: str) -> Iterator[None]:
    _builds[tag] = turns.over()
    try:
        turns.go_on()
        yield
    finally:
        _builds.pop(tag, None)


def unfinished(client: DockerClient) -> list[str]:
    """Return the tags of builds of which a container, volume or nameless image is left."""
    return sorted({leftover.labels[BUILD] for leftover in _leftovers(client, BUILD)})


@dataclass(frozen=True, kw_only=True)
class _Leftover:
    name: str
    labels: Mapping[str, str]
    remove: Callable[[str], object]


def _leftovers(client: DockerClient, label: str) -> list[_Leftover]:
    """What this run and dead ones have made with that label."""
    api, filters = client.api, {"label": label}
    # What was committed has its container's labels; the image that is made of it has others.
    nameless = api.images(filters={**filters, "dangling": True})
    kinds = (
        # First: a volume that is in use cannot be removed.
        (api.containers(all=True, filters=filters), "Id", partial(remove, client)),
        (api.volumes(filters=filters)["Volumes"] or (), "Name", api.remove_volume),
        (nameless, "Id", partial(api.remove_image, force=True)),
    )
    return [
        _Leftover(name=one[key], labels=one["Labels"], remove=away)
        for found, key, away in kinds
        for one in found
        if ours(one["Labels"]) or orphaned(one["Labels"])
    ]


def runtime(dockerfile: Path) -> dict[str, Any]:
    """Return the run-time defaults that a Dockerfile sets: its ENV, USER and CMD lines."""
    found: dict[str, Any] = {"Env": []}
    for line in dockerfile.read_text("utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if word == "ENV":
            found["Env"] += shlex.split(rest)
        elif word == "USER":
            found["User"] = rest.strip()
        elif word == "CMD":
            found["Cmd"] = json.loads(rest)
    return found


def _container(client: DockerClient, recipe: Recipe) -> Container:
    labels = {**run_labels(), KIND: "build", BUILD: recipe.tag}
    volume = client.volumes.create(labels=labels)
    return client.containers.create(
        recipe.base,
        ["sh", "/mnt/install.sh", *recipe.arguments],
        user="0:0",
        network_mode="none",
        labels=labels,
        mounts=[Mount("/mnt", volume.name, type="volume")],
        tmpfs={"/tmp": "exec"},  # noqa: S108 - the container's own
        log_config={"type": "json-file", "config": {"max-size": "1m"}},
    )


def _send(container: Container, recipe: Recipe, progress: Progress) -> None:
    size = sum(path.stat().st_size for path in recipe.files.values())
    task = progress.add_task(f"{_short(recipe.tag)}: sending wheels", total=size, unit="MB")

    def counted() -> Iterator[bytes]:
        sent = 0
        for block in imagefile.tar_stream(sorted(recipe.files.items())):
            yield block
            # An archive is a little more than its files, and the last block is not there yet.
            sent = min(sent + len(block), size - 1)
            progress.update(task, completed=sent)

    container.put_archive("/mnt", counted())
    progress.update(task, completed=size)


def _install(container: Container, recipe: Recipe, progress: Progress) -> None:
    task = progress.add_task(f"{_short(recipe.tag)}: installing", total=None)
    container.start()
    said: list[str] = []
    for block in container.logs(stream=True, follow=True):
        turns.go_on()
        said += block.decode(errors="replace").splitlines()
        if said and said[-1].startswith("== "):
            progress.update(task, last=said[-1][3:])
    status = container.wait()["StatusCode"]
    if status:
        tail = "\n       ".join(said[-12:])
        raise imagefile.failure(recipe.tag, f"docker/install.sh exited with {status}: {tail}")
    progress.update(task, total=1, completed=1, last="")


def _commit(client: DockerClient, container: Container, recipe: Recipe, progress: Progress) -> str:
    task = progress.add_task(f"{_short(recipe.tag)}: committing", total=None)
    committed = container.commit()
    config = ImageConfig(
        layers=committed.attrs["RootFS"]["Layers"],
        history=[
            *_history(client, recipe.base),
            f"docker/install.sh {' '.join(recipe.arguments)}",
        ],
        runtime={**runtime(recipe.dockerfile), "Labels": dict(recipe.labels)},
    )
    # The dated twin is swept: its layer stays, because the image that is loaded has the same one.
    image = imagefile.load(client, config, recipe.tag)
    progress.update(task, total=1, completed=1)
    return image


def _short(tag: str) -> str:
    """``tf2:cpu`` of ``paritylab/tf2:cpu-0123456789ab``."""
    return tag.removeprefix("paritylab/").rpartition("-")[0]


def _history(client: DockerClient, base: str) -> list[str]:
    """A line for each layer of the base; what we made tells its own."""
    image = client.images.get(base)
    if image.labels.get(KIND) == FOUNDATION:
        return [str(entry["CreatedBy"]) for entry in reversed(image.history())]
    return [f"base layer {number}" for number, _ in enumerate(image.attrs["RootFS"]["Layers"])]


@contextmanager
def _told_in_words(tag: str) -> Iterator[None]:
    try:
        yield
    except APIError as fault:
        raise imagefile.failure(tag, str(fault.explanation or fault)) from fault
    except (requests.RequestException, DockerException) as fault:
        raise DockerError(
            f"the Docker engine stopped answering while building {tag}",
            why=str(fault),
            fix="see that it runs (`docker info`), then try again",
        ) from fault


@contextmanager
def patient(client: DockerClient) -> Iterator[None]:
    """Let calls take as long as gigabytes need."""
    before, client.api.timeout = client.api.timeout, PATIENCE
    try:
        yield
    finally:
        client.api.timeout = before
