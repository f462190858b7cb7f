"""What layers of images weigh on the way: compressed as a registry would store them."""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from docker.client import DockerClient
from rich.progress import Progress

from paritylab import atomic, cache

BLOCK = 1 << 20
GZIP = 31
"""zlib's window bits for a gzip header; level 6 is what `docker push` takes."""
LEVEL = 6


class _Stream:
    """Bytes that come in blocks of any size, as a file that is read from front to back."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self._rest = iter(blocks), b""

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        parts, have = [self._rest], len(self._rest)
        while have < size and (block := next(self._blocks, b"")):
            parts.append(block)
            have += len(block)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]


def compressed(client: DockerClient, image: str, progress: Progress) -> dict[str, int]:
    """Return the compressed size in bytes of every layer of an image, by DiffID, in order.

    The engine keeps layers unpacked, so each is packed once (a gigabyte takes half a minute) and
    its size remembered under its DiffID, which names its content.
    """
    layers: list[str] = client.images.get(image).attrs["RootFS"]["Layers"]
    known = {layer: _remembered(layer) for layer in layers}
    if not all(known.values()):
        task = progress.add_task(f"packing {image[7:19]}", total=None)
        sizes = list(_packed(client.images.get(image).save()))
        for layer, size in zip(layers, sizes, strict=True):
            atomic.write(_file(layer), str(size))
            known[layer] = size
        progress.update(task, total=1, completed=1)
    return {layer: size or 0 for layer, size in known.items()}


def _packed(archive: Iterable[bytes]) -> Iterator[int]:
    """Return the layers' sizes, compressed, in the order of the manifest."""
    sizes: dict[str, int] = {}
    manifest: list[dict[str, Any]] = []
    stream: Any = _Stream(archive)
    with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            if member.name == "manifest.json":
                manifest = json.load(file)
            elif member.name.endswith("layer.tar") or member.size > BLOCK:
                sizes[member.name] = _size(file)
    yield from (sizes[name] for name in manifest[0]["Layers"])


def _size(file: IO[bytes]) -> int:
    packer, total = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP), 0
    while block := file.read(BLOCK):
        total += len(packer.compress(block))
    return total + len(packer.flush())


def _file(layer: str) -> Path:
    return cache.folder("sizes") / layer.replace(":", "-")


def _remembered(layer: str) -> int | None:
    try:
        return int(_file(layer).read_text())
    except (OSError, ValueError):
        return None
