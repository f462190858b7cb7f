"""Docker images as files: configurations whose id depends on their content alone.

An engine dates what it imports or commits, so the same layers get another image id every time.
Loading a configuration that we wrote ourselves gives it one; layers that the engine already has
need not travel again.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from docker.client import DockerClient
from docker.errors import APIError

from paritylab.errors import DiskFullError, ImageError
from paritylab.turns import go_on

CREATED = "2025-05-20T00:00:00Z"
BLOCK = 1 << 20
NO_SPACE = "no space left on device"


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """What an image is: layers by DiffID (``sha256:…``), how they came about, run-time defaults.

    ``runtime`` is the ``config`` object of the image format (Env, Cmd, User, Labels).
    """

    layers: Sequence[str]
    history: Sequence[str]
    runtime: Mapping[str, Any]

    @property
    def data(self) -> bytes:
        """The configuration file; its SHA-256 is the image id."""
        content = {
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": dict(self.runtime),
            "history": [{"created": CREATED, "created_by": line} for line in self.history],
            "rootfs": {"type": "layers", "diff_ids": list(self.layers)},
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    @property
    def image_id(self) -> str:
        """``sha256:…``, the same on every engine."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"


def load(client: DockerClient, config: ImageConfig, tag: str, layer: Path | None = None) -> str:
    """Make an image of layers that the engine has (and ``layer``, a tar); return its id.

    Raises ImageError, or DiskFullError, with the engine's words when it does not take the image.
    """
    layers = [f"{digest.removeprefix('sha256:')}/layer.tar" for digest in config.layers]
    name = f"{config.image_id.removeprefix('sha256:')}.json"
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": layers}]
    members: list[tuple[str, bytes | Path]] = [
        (name, config.data),
        ("manifest.json", json.dumps(manifest).encode()),
    ]
    if layer:
        members.append((layers[0], layer))
    refused = send(client, tar_stream(members))
    if refused:
        raise failure(tag, refused)
    return config.image_id


def send(client: DockerClient, archive: Iterator[bytes]) -> str:
    """Give the engine a tar of an image; return its words if it does not take it, else nothing."""
    refused = ""
    try:
        # Its answer is 200 before it has begun; what goes wrong is a message of the stream.
        for said in client.api.load_image(archive):
            refused = str(said.get("error") or refused)
    except APIError as fault:
        refused = str(fault.explanation or fault)
    return refused


def failure(tag: str, why: str) -> ImageError:
    """Return the error that tells, in the engine's words, why there is no image of that tag."""
    return full_disk(tag, why) or ImageError(f"{tag} could not be built", why=why)


def full_disk(tag: str, why: str) -> DiskFullError | None:
    """Return the error for an image that the engine has no room for, if that is what it says."""
    if NO_SPACE not in why.lower():
        return None
    return DiskFullError(
        f"no space left for {tag}",
        why=why,
        fix="`docker system df` shows what takes it; `paritylab images prune` frees ours",
    )


def tar_stream(members: Iterable[tuple[str, bytes | Path]]) -> Iterator[bytes]:
    """Yield a tar archive of (name, content or file), never holding more than a block of it."""
    for name, content in members:
        info = tarfile.TarInfo(name)
        info.size = content.stat().st_size if isinstance(content, Path) else len(content)
        info.mode = 0o644
        yield info.tobuf(tarfile.PAX_FORMAT)
        if isinstance(content, Path):
            with content.open("rb") as file:
                yield from _blocks(file)
        else:
            yield from _blocks(io.BytesIO(content))
        yield b"\0" * (-info.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        go_on()
        yield block
