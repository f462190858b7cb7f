"""Where everything that can be made again is kept: wheels, virtual environments, base images."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock


def folder(*parts: str) -> Path:
    """Return a folder of the cache, made if needed; ``PARITYLAB_CACHE`` moves the cache."""
    override = os.environ.get("PARITYLAB_CACHE")
    root = Path(override).absolute() if override else platformdirs.user_cache_path("paritylab")
    path = root.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside ``path``, so that no second process makes the same thing."""
    # Freed by the kernel when its owner dies: a killed run never blocks the next one.
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Give a folder on the same file system as ``parent``'s content; it is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix=".tmp-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
