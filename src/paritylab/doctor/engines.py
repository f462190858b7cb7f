"""Checks of what runs cells: the Docker engine, its images and disk, the GPU."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from paritylab import images as image_store
from paritylab import nvidia
from paritylab.doctor.model import Line, Scope
from paritylab.errors import DockerError, NoGpuError

OLDEST_API = (1, 40)
"""Engine 19.03: the first that knows the device requests and limits that sandboxes use."""
IMAGE_MB = {"cpu": 5_000, "cuda": 25_000}
"""What building one image takes at its peak: wheels, container and layer (measured, rounded up)."""


def docker(scope: Scope) -> Iterator[Line]:
    """The engine answers, lets us in, and is new enough."""
    client, needed = scope.docker, scope.uses_docker
    if isinstance(client, DockerError):
        found = f"{client.what} ({client.where})"
        yield Line(name="Docker", ok=False, found=found, fix=client.fix or "", needed=needed)
        return
    said = client.version()
    api = tuple(int(part) for part in said["ApiVersion"].split("."))
    found = f"engine {said['Version']}, API {said['ApiVersion']}, we may use it"
    fix = "update the engine: sudo apt-get install -y docker.io"
    yield Line(name="Docker", ok=api >= OLDEST_API, found=found, fix=fix, needed=needed)


def absent_images(scope: Scope) -> list[str]:
    """Return the names of the environments whose image is not built (all without an engine)."""
    names = [one.name for one in scope.environments]
    if isinstance(scope.docker, DockerError):
        return names
    there = {tag for image in scope.docker.images.list() for tag in image.tags}
    return [
        one.name
        for one in scope.environments
        if not there & set(image_store.current(one, scope.device))
    ]


def images(scope: Scope) -> Iterator[Line]:
    """Which images of today's locks are built."""
    if isinstance(scope.docker, DockerError):
        return
    absent = absent_images(scope)
    for one in scope.environments:
        there = one.name not in absent
        found = "built" if there else "not built (a run builds it)"
        fix = f"paritylab images build --environment {one.name} --device {scope.device}"
        name = f"image {one.name}-{scope.device}"
        yield Line(name=name, ok=there, found=found, fix=fix, needed=False)


def docker_disk(scope: Scope) -> Iterator[Line]:
    """Room for the images that are not built; a remote engine's disk cannot be seen."""
    facts = scope.engine_facts
    folder = Path(str(facts.get("DockerRootDir", "")))
    if not facts or facts.get("Name") != os.uname().nodename or not folder.is_dir():
        return
    needed = IMAGE_MB[scope.device] * len(absent_images(scope))
    free = shutil.disk_usage(folder).free // 10**6
    found = f"{free:,} MB free where images go, {needed:,} MB needed"
    fix = "paritylab images prune; docker system df shows what else takes it"
    ok = free >= needed
    yield Line(name="disk of Docker", ok=ok, found=found, fix=fix, needed=scope.uses_docker)


def bootstrap(scope: Scope) -> Iterator[Line]:
    """What `--base bootstrap` needs, where no registry can be reached."""
    if isinstance(scope.docker, DockerError):
        return
    found = shutil.which("mmdebstrap")
    root = os.geteuid() == 0
    text = "mmdebstrap, root" if found and root else "mmdebstrap" if found else "no mmdebstrap"
    if found and not root:
        text += ", but you are not root"
    fix = "only where no registry can be reached: sudo apt-get install -y mmdebstrap, run as root"
    ok = bool(found and root)
    yield Line(name="bases from Debian", ok=ok, found=text, fix=fix, needed=False)


def gpu(scope: Scope) -> Iterator[Line]:
    """The driver, the cards it shows, and what lets containers use them."""
    needed = scope.device == "cuda"
    pieces = nvidia.local_pieces()
    yield from _joined("GPU", pieces, needed=needed)
    if any(piece.there for piece in pieces):
        try:
            cards = nvidia.gpus_here().gpus
            found = ", ".join(f"{card.index}: {card.name}, driver {card.driver}" for card in cards)
            yield Line(name="GPU cards", ok=True, found=found)
        except NoGpuError as fault:
            found, fix = fault.why or fault.what, fault.fix or ""
            yield Line(name="GPU cards", ok=False, found=found, fix=fix, needed=needed)
    if scope.engine_facts:
        local = scope.engine_facts.get("Name") == os.uname().nodename
        pieces = nvidia.engine_pieces(scope.engine_facts, local=local)
        yield from _joined("GPU in containers", pieces, needed=needed and scope.uses_docker)


def _joined(name: str, pieces: Sequence[nvidia.Piece], *, needed: bool) -> Iterator[Line]:
    """One line for what is here, one for what is not: the same command often helps with all."""
    there = [piece.name for piece in pieces if piece.there]
    lacking = [piece for piece in pieces if not piece.there]
    if there:
        yield Line(name=name, ok=True, found="; ".join(there), needed=needed)
    if lacking:
        found = f"not here: {'; '.join(piece.name for piece in lacking)}"
        fix = max((piece.fix for piece in lacking), key=len)  # the others are parts of it
        yield Line(name=name, ok=False, found=found, fix=fix, needed=needed)
