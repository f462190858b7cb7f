"""Images and bases made twice from scratch, and told apart file by file where they differ."""

from __future__ import annotations

import hashlib
import json
import secrets
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from docker.client import DockerClient
from docker.errors import ImageNotFound
from rich.progress import Progress

from paritylab import bases, cache, imagebuild, images
from paritylab.imagebuild import Recipe
from paritylab.stacks import Environment

BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One path of a file system; ``content`` is the SHA-256 of a file, the target of a link.

    ``modified`` counts seconds since 1970; ``mode`` is as ``ls`` shows it.
    """

    mode: str
    owner: str
    content: str
    modified: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What one path has in the first and in the second making; ``what`` is a field of Entry."""

    path: str
    what: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Something that was made twice: ids (SHA-256) and what differs between them.

    ``usual`` is the id of the one that is in use, None where there is none.
    """

    name: str
    first: str
    second: str
    usual: str | None
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether both have the same id: the same bytes, dates included."""
        return self.first == self.second


def image(
    client: DockerClient, environment: Environment, device: str, *, base: str, progress: Progress
) -> Reproduction:
    """Build a stack's image twice from scratch and compare; nothing of it is left.

    Layers are never taken from a cache: both builds run docker/install.sh. Same ids mean the same
    configuration and, layer by layer, the same bytes. Raises what ``images.ensure`` raises.
    """
    found = bases.identify(environment, device, mode=base, progress=progress)
    recipe = images.recipe_of(client, environment, device, base=found, mode=base, progress=progress)
    mark = f"paritylab/{environment.name}:reproduce-{secrets.token_hex(4)}"
    with (
        _built(client, recipe, f"{mark}-first", progress) as first,
        _built(client, recipe, f"{mark}-second", progress) as second,
    ):
        told = [] if first == second else _image_differences(client, first, second)
    return Reproduction(
        name=recipe.tag,
        first=first,
        second=second,
        usual=_present(client, recipe.tag),
        differences=tuple(told),
    )


def base(environment: Environment, progress: Progress) -> Reproduction:
    """Make the bootstrapped base of an environment twice and compare; nothing of it is left."""
    with cache.scratch(cache.folder("bases")) as folder:
        tars = [folder / "first.tar", folder / "second.tar"]
        digests = [bases.make(environment, tar, progress) for tar in tars]
        told: list[Difference] = []
        if digests[0] != digests[1]:
            told = differences(*(_manifest_of(tar) for tar in tars))
    known = [one for one in bases.known(environment, "cpu") if one.config]
    return Reproduction(
        name=f"base of {environment.name} (Python {environment.python})",
        first=f"sha256:{digests[0]}",
        second=f"sha256:{digests[1]}",
        usual=known[0].config.layers[0] if known and known[0].config else None,
        differences=tuple(told),
    )


def manifest(archive: IO[bytes]) -> dict[str, Entry]:
    """Return every path of a tar with its mode, owner, content and date."""
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=archive, mode="r|*") as tar:
        for member in tar:
            kind = stat.S_IFLNK if member.issym() else stat.S_IFDIR if member.isdir() else 0
            content = member.linkname if member.issym() or member.islnk() else ""
            file = tar.extractfile(member) if member.isreg() else None
            if file:
                content = _sha256(file)
            found[member.name.removeprefix("./").rstrip("/")] = Entry(
                mode=stat.filemode(member.mode | (kind or stat.S_IFREG)),
                owner=f"{member.uid}:{member.gid}",
                content=content,
                modified=int(member.mtime),
            )
    return found


def differences(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[Difference]:
    """Return what differs, path by path, sorted."""
    found = []
    for path in sorted(before.keys() | after.keys()):
        if path not in before or path not in after:
            sides = ["there" if path in side else "not there" for side in (before, after)]
            found.append(Difference(path=path, what="path", before=sides[0], after=sides[1]))
            continue
        old, new = asdict(before[path]), asdict(after[path])
        found += [
            Difference(path=path, what=name, before=str(old[name]), after=str(new[name]))
            for name in old
            if old[name] != new[name]
        ]
    return found


@contextmanager
def _built(client: DockerClient, recipe: Recipe, tag: str, progress: Progress) -> Iterator[str]:
    """Build an image under a tag of its own; the tag is gone afterwards."""
    try:
        yield imagebuild.build(client, replace(recipe, tag=tag), progress)
    finally:
        # The tag alone: where the image is the usual one it has another name, and stays.
        with suppress(ImageNotFound):
            client.images.remove(tag)


def _image_differences(client: DockerClient, first: str, second: str) -> list[Difference]:
    attributes = [client.images.get(one).attrs for one in (first, second)]
    layers = [one["RootFS"]["Layers"] for one in attributes]
    found = []
    for name in ("Config", "Architecture", "Os"):
        told = [json.dumps(one.get(name), sort_keys=True) for one in attributes]
        if told[0] != told[1]:
            found.append(Difference(path="(the image)", what=name, before=told[0], after=told[1]))
    shared = {digest for digest in layers[0] if digest in layers[1]}
    entries = [
        _layers(client, one, [place for place, digest in enumerate(own) if digest not in shared])
        for one, own in zip((first, second), layers, strict=True)
    ]
    return found + differences(*entries)


def _layers(client: DockerClient, image_id: str, places: Sequence[int]) -> dict[str, Entry]:
    """The paths that some of an image's layers hold; a later layer hides an earlier one."""
    found: dict[str, Entry] = {}
    with cache.scratch(cache.folder("images")) as folder:
        path = folder / "image.tar"
        with path.open("wb") as file:
            for block in client.images.get(image_id).save(chunk_size=BLOCK):
                file.write(block)
        with tarfile.open(path) as saved:
            [told] = json.loads(_member(saved, "manifest.json").read())
            for place in places:
                found |= manifest(_member(saved, told["Layers"][place]))
    return found


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    assert file is not None
    return file


def _manifest_of(tar: Path) -> dict[str, Entry]:
    with tar.open("rb") as file:
        return manifest(file)


def _present(client: DockerClient, tag: str) -> str | None:
    try:
        return str(client.images.get(tag).id)
    except ImageNotFound:
        return None


def _sha256(file: IO[bytes]) -> str:
    total = hashlib.sha256()
    while block := file.read(BLOCK):
        total.update(block)
    return total.hexdigest()
