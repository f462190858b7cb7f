"""Pinned virtual environments: one folder per lock and Python, made once, then only found."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from paritylab import cache, wheelhouse
from paritylab.commands import Command, run, without
from paritylab.engines.base import Unavailable
from paritylab.errors import InterpreterError
from paritylab.interpreters import find, install_command, uv_command
from paritylab.model import Environment

LAYOUT = "1"
"""Counts changes in how the folders are made; part of their names."""
STALE = 86_400.0
"""Seconds after which an unfinished folder belongs to a run that was killed."""


@dataclass(frozen=True, kw_only=True)
class VirtualEnvironment:
    """One finished folder: its name, path and size in bytes."""

    name: str
    path: Path
    size: int


def missing(environment: Environment) -> Unavailable | None:
    """Return why no virtual environment can be made here, or None; takes milliseconds."""
    made = any(_python(environment, device).exists() for device in environment.stacks)
    if made or find(environment.python):
        return None
    return Unavailable(
        reason=f"{environment.name} needs Python {environment.python}, which is not here",
        fix=install_command(environment.python),
    )


def made(environment: Environment, device: str) -> bool:
    """Return whether the virtual environment of today's lock is there."""
    return _python(environment, device).exists()


def ensure(environment: Environment, device: str, progress: Progress) -> Path:
    """Return the Python of a virtual environment that holds exactly the lock of ``device``.

    Made if it is not there: offline, hash-checked, and under its final name only when complete.
    Raises InterpreterError, LockError or ImageError.
    """
    python = _python(environment, device)
    if python.exists():
        return python
    with cache.locked(python.parent.parent):
        if not python.exists():
            _make(environment, device, python.parent.parent, progress)
    return python


def listing() -> list[VirtualEnvironment]:
    """Return every finished virtual environment, by name."""
    folders = sorted(path for path in cache.folder("venvs").iterdir() if path.name[0] != ".")
    return [VirtualEnvironment(name=f.name, path=f, size=_size(f)) for f in folders]


def prune(keep: Collection[tuple[Environment, str]]) -> list[str]:
    """Remove all but those of the (environment, device) pairs; return the names removed.

    What a killed run left unfinished goes too.
    """
    kept = {_python(environment, device).parent.parent.name for environment, device in keep}
    removed = []
    for path in sorted(cache.folder("venvs").iterdir()):
        unfinished = path.name.startswith(".tmp-") and time.time() - path.stat().st_mtime > STALE
        if unfinished or (path.is_dir() and path.name[0] != "." and path.name not in kept):
            shutil.rmtree(path)
            removed.append(path.name)
    return removed


def _python(environment: Environment, device: str) -> Path:
    stack = environment.stacks[device]
    facts = "\n".join([LAYOUT, environment.python, stack.lock_digest])
    digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
    return cache.folder("venvs") / f"{environment.name}-{device}-{digest}" / "bin" / "python"


def _make(environment: Environment, device: str, place: Path, progress: Progress) -> None:
    interpreter = find(environment.python)
    if interpreter is None:
        lacking = missing(environment)
        raise InterpreterError(
            lacking.reason if lacking else "no interpreter", fix=install_command(environment.python)
        )
    stack = environment.stacks[device]
    wheels = wheelhouse.ensure(stack, environment.python, progress)
    task = progress.add_task(f"virtual environment {environment.name}", total=None)
    with cache.scratch(place.parent) as folder:
        _install(interpreter, wheels, stack.lock, folder)
        # A folder under the final name that is not usable lost its interpreter: make it again.
        shutil.rmtree(place, ignore_errors=True)
        os.rename(folder / "venv", place)
    progress.update(task, total=1, completed=1)


def _install(interpreter: Path, wheels: Path, lock: Path, folder: Path) -> None:
    uv, venv = uv_command(), folder / "venv"
    # uv's cache beside the result: files are linked, not copied, and gone with the scratch folder.
    base = [uv, "--quiet", "--no-config", "--offline", "--cache-dir", str(folder / "uv")]
    what = f"the virtual environment for {lock.parent.name} cannot be made"
    environment = without("UV_")
    make = ["venv", "--relocatable", "--python", str(interpreter), str(venv)]
    run(Command(argv=[*base, *make], what=what, environment=environment))
    sync = ["pip", "sync", "--no-index", "--find-links", str(wheels), "--require-hashes"]
    sync += ["--compile-bytecode", "--python", str(venv / "bin" / "python"), str(lock)]
    run(Command(argv=[*base, *sync], what=what, environment=environment))


def _size(folder: Path) -> int:
    return sum(
        os.lstat(os.path.join(base, name)).st_size
        for base, _, names in os.walk(folder)
        for name in names
    )
