"""Where everything that can be made again is kept: wheels, virtual environments, base images."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from paritylab.turns import go_on


def folder(*parts: str) -> Path:
    """Return a folder of the cache, made if needed; ``PARITYLAB_CACHE`` moves the cache."""
    override = os.environ.get("PARITYLAB_CACHE")
    root = Path(override).absolute() if override else platformdirs.user_cache_path("paritylab")
    path = root.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside ``path``, so that nobody else, in any process, makes the same thing."""
    # Freed by the kernel when its owner dies: a killed run never blocks the next one.
    with _acquired(FileLock(_lock_of(path))):
        yield


def _acquired(lock: FileLock) -> AbstractContextManager[object]:
    while True:
        go_on()  # its owner may need minutes
        with suppress(Timeout):
            return lock.acquire(timeout=1)


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def is_locked(path: Path) -> bool:
    """Return True while some process holds the lock beside ``path``."""
    lock = FileLock(_lock_of(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Give a folder on the same file system as ``parent``'s content; it is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix=".tmp-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
