"""Where a host of a cluster gets an image from: its engine, a folder, a registry, or it builds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker.errors import APIError
from rich.progress import Progress

from paritylab import imagebuild, images, imagetransfer
from paritylab.engines.docker import ImageOf
from paritylab.engines.dockerclient import explained
from paritylab.errors import ImageError
from paritylab.model import Environment
from paritylab.progress import Display


def image_source(
    tags: Mapping[str, str], places: Mapping[str, str | None], *, base: str
) -> ImageOf:
    """Return what finds the image of an environment and device.

    ``tags`` maps ``tf2-cpu`` to a tag, as far as the desk knows it; ``places`` are those of
    settings.Images. What is in none of them is built here.
    """
    progress = Display()

    def image(client: Any, environment: Environment, device: str) -> str:
        tag = tags.get(f"{environment.name}-{device}")
        if tag:
            found = _fetched(client, tag, places, progress)
            if found:
                return _checked(client, found, environment, device)
        return images.ensure(client, environment, device, base=base, progress=progress)

    return image


def _fetched(
    client: Any, tag: str, places: Mapping[str, str | None], progress: Progress
) -> str | None:
    with explained(f"looking for {tag}"):
        found = imagetransfer.present(client, tag)
    folder, registry = places.get("folder"), places.get("registry")
    if found is None and folder:
        file = imagetransfer.file_of(Path(folder), tag)
        if file.is_file():
            imagetransfer.load(client, file, progress)
            found = imagetransfer.present(client, tag)
    if found is None and registry:
        found = _pulled(client, f"{registry}/{tag}", tag)
    return found


def _pulled(client: Any, remote: str, tag: str) -> str | None:
    name, _, version = tag.partition(":")
    place, _, _ = remote.rpartition(":")
    with explained(f"pulling {remote}"), imagebuild.patient(client):
        try:
            image = client.images.pull(place, tag=version)
        except APIError:  # not there, or nobody there: it can still be built
            return None
        image.tag(name, tag=version)
        return str(image.id)


def _checked(client: Any, image: str, environment: Environment, device: str) -> str:
    """Raise ImageError for an image of another lock, whatever it is called."""
    lock = environment.stacks[device].lock_digest
    labels = client.images.get(image).labels
    if labels.get("paritylab.lock") != lock:
        raise ImageError(
            f"the image {image[7:19]} is not that of {environment.name}-{device}",
            why="it was built from another lock",
            fix="see who writes to the registry or folder of [images] in cluster.toml",
        )
    return image
