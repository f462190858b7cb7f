"""What killed runs left: found by ``doctor``, removed by ``doctor --fix``; ours alone."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from paritylab import cache, images
from paritylab.doctor.model import Line, Scope
from paritylab.engines import sandbox
from paritylab.engines.dockerclient import explained
from paritylab.errors import DockerError
from paritylab.venvs import STALE

FRESH = 120.0
"""Seconds in which a folder may belong to a worker that has not started yet."""
FIX = "paritylab doctor --fix"


def lines(scope: Scope) -> Iterator[Line]:
    """Containers, builds and folders whose run is dead."""
    found = [str(folder) for folder in folders()]
    if not isinstance(scope.docker, DockerError):
        with explained("a look at what earlier runs left"):
            found += sandbox.orphans(scope.docker)
            found += images.abandoned(scope.docker)
    text = f"{len(found)}: {', '.join(_short(one) for one in found[:3])}" if found else "none"
    yield Line(name="leftovers of runs", ok=not found, found=text, fix=FIX, needed=False)


def remove(scope: Scope) -> list[str]:
    """Remove what ``lines`` counts and return its names; living runs and other tools keep theirs.

    Raises DockerError when the engine fails in the middle.
    """
    removed = []
    for folder in folders():
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(str(folder))
    if not isinstance(scope.docker, DockerError):
        with explained("the removal of what earlier runs left"):
            removed += sandbox.sweep(scope.docker)
            removed += images.sweep_builds(scope.docker)
    return removed


def folders() -> list[Path]:
    """Return the folders of dead workers and of installations that were killed long ago."""
    return [*_dead_workers(), *_unfinished()]


def _dead_workers() -> Iterator[Path]:
    """A living worker works in its folder; one that nobody works in is dead."""
    busy = set(_working_folders())
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):  # noqa: S108 - as workers choose
        for folder in sorted(Path(parent).glob("paritylab-*")):
            if _ours(folder) and (folder / "jobs").is_dir() and folder not in busy:
                yield folder


def _ours(folder: Path) -> bool:
    try:
        facts = folder.lstat()
    except OSError:
        return False
    mine = facts.st_uid == os.geteuid() and facts.st_mode & 0o7777 == 0o700
    return mine and folder.is_dir() and time.time() - facts.st_mtime > FRESH


def _working_folders() -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = Path(os.readlink(process / "cwd"))
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
        yield place
        yield from place.parents


def _unfinished() -> Iterator[Path]:
    for kind in ("bases", "venvs", "wheelhouses", "wheels"):
        for path in sorted(cache.folder(kind).glob(".tmp-*")):
            if time.time() - path.stat().st_mtime > STALE:
                yield path


def _short(name: str) -> str:
    # A container's id is 64 digits long.
    return name[:12] if len(name) == 64 else name
