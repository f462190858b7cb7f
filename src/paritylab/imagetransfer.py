"""Images from engine to engine as files, where there is no registry between them.

A file carries its image's tag and id beside it. Both are made of the image's content, so a host
that has the image already takes nothing, and nothing else can come in under its name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from docker.client import DockerClient
from docker.errors import ImageNotFound
from pydantic import TypeAdapter, ValidationError
from rich.progress import Progress, TaskID

from paritylab import atomic, cache, imagefile
from paritylab.engines.dockerclient import explained
from paritylab.errors import ImageError
from paritylab.imagebuild import patient

_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What lies beside an image's file: its tag and id, and the file's size and SHA-256."""

    tag: str
    image_id: str
    size: int
    sha256: str


_packed = TypeAdapter(Packed)


def file_of(folder: Path, tag: str) -> Path:
    """Where the image with this tag lies in a folder of exports."""
    return folder / f"{tag.replace('/', '-').replace(':', '-')}.tar"


def export(client: DockerClient, tag: str, folder: Path, progress: Progress) -> Path:
    """Write the image with this tag into a folder; return its file. Done already: nothing to do.

    Raises ImageError when the engine has no such image, DockerError when it fails.
    """
    target = file_of(folder, tag)
    with explained(f"exporting {tag}"), patient(client):
        try:
            image = client.images.get(tag)
        except ImageNotFound:
            raise ImageError(f"no image {tag}", fix="paritylab images build") from None
        if _is_done(target, str(image.id)):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        task = progress.add_task(f"exporting {tag}", total=image.attrs["Size"], unit="MB")
        partial = target.with_suffix(".tar.partial")
        digest, size = hashlib.sha256(), 0
        with partial.open("wb") as file:
            for block in image.save(chunk_size=_BLOCK, named=tag):
                file.write(block)
                digest.update(block)
                size += len(block)
                progress.update(task, completed=size)
        progress.update(task, total=size, completed=size)
    told = Packed(tag=tag, image_id=str(image.id), size=size, sha256=digest.hexdigest())
    beside = _beside(target)
    beside.unlink(missing_ok=True)  # it must never speak of another file
    partial.replace(target)
    atomic.write(beside, json.dumps(asdict(told), indent=2) + "\n")
    return target


def load(client: DockerClient, file: Path, progress: Progress) -> Packed | None:
    """Give the engine the image of a file; return what it is, or None if it was there already.

    Several processes of a host load it once. Raises DiskFullError where there is no room, and
    ImageError for a file that is cut off, altered or no export of ours.
    """
    told = read(file)
    with explained(f"loading {told.tag}"), cache.locked(cache.folder("loads") / file.name):
        if present(client, told.image_id):
            _tag(client, told)
            return None
        if file.stat().st_size != told.size:
            raise _broken(file, f"it has {file.stat().st_size} bytes, not {told.size}")
        task = progress.add_task(f"loading {told.tag}", total=told.size, unit="MB")
        digest = hashlib.sha256()
        with patient(client):
            refused = imagefile.send(client, _blocks(file, digest, progress, task))
        if refused:
            raise imagefile.full_disk(told.tag, refused) or _broken(file, refused)
        if digest.hexdigest() != told.sha256 or not present(client, told.image_id):
            with suppress(ImageNotFound):  # it came in under a name that is not its own
                client.images.remove(told.tag, force=True)
            raise _broken(file, "its content is not what was exported")
        _tag(client, told)
    return told


def read(file: Path) -> Packed:
    """Return what lies beside an image's file; raises ImageError."""
    try:
        return _packed.validate_json(_beside(file).read_bytes(), strict=True)
    except (OSError, ValidationError) as fault:
        raise _broken(file, f"{_beside(file).name}: {fault}") from None


def present(client: DockerClient, name: str) -> str | None:
    """Return the id of the image with this tag or id, if the engine has it."""
    try:
        return str(client.images.get(name).id)
    except ImageNotFound:
        return None


def _tag(client: DockerClient, told: Packed) -> None:
    name, _, tag = told.tag.partition(":")
    client.images.get(told.image_id).tag(name, tag=tag)


def _blocks(file: Path, digest: Any, progress: Progress, task: TaskID) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
            progress.advance(task, len(block))
            yield block


def _is_done(target: Path, image_id: str) -> bool:
    try:
        told = read(target)
        return told.image_id == image_id and os.path.getsize(target) == told.size
    except (ImageError, OSError):
        return False


def _beside(file: Path) -> Path:
    return file.with_suffix(".json")


def _broken(file: Path, why: str) -> ImageError:
    return ImageError(
        "this is no whole image of ours",
        where=str(file),
        why=why,
        fix="export it again (paritylab images export), with the .json beside it",
    )
