"""Finding the Python that an environment needs on this machine."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import uv

from paritylab.commands import Command, try_run

QUESTION = """
import sys
base = getattr(sys, "_base_executable", None) or sys.executable
print("%s %d.%d %s" % (sys.implementation.name, sys.version_info[0], sys.version_info[1], base))
"""
PATIENCE = 20.0
"""Seconds that an interpreter has to tell its version."""


def uv_command() -> str:
    """Return the path of uv's executable, which comes with the package."""
    return uv.find_uv_bin()


def install_command(version: str) -> str:
    """Return what to type, here and now, to get this Python version.

    Such as ``uv python install 3.7``. The uv that came with the package is on this process's PATH
    at most (nox puts it there): it is named from this folder where it is below it, and has to be
    installed otherwise.
    """
    ours, found = os.path.relpath(uv_command()), shutil.which("uv")
    if found and not Path(found).is_relative_to(sys.prefix):
        program = "uv"
    else:
        program = "pip install uv && uv" if ours.startswith(os.pardir) else shlex.quote(ours)
    return f"{program} python install {version}"


@functools.lru_cache
def find(version: str) -> Path | None:
    """Return a CPython of this minor version (``3.11``) that runs, or None.

    Every candidate is run and asked: pyenv's shims, for one, are on the PATH for versions that
    they then refuse to start. The answer is never inside a virtual environment, which could be
    deleted under whatever is built on it.
    """
    for candidate in _candidates(version):
        found = _ask(candidate, version)
        if found:
            return found
    return None


def _candidates(version: str) -> Iterator[Path]:
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        yield Path(sys.executable)
    for name in (f"python{version}", "python3"):
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            on_path = shutil.which(name, path=folder) if folder else None
            if on_path:
                yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted((pyenv / "versions").glob(f"{version}.*/bin/python{version}"), reverse=True)
    yield from _known_to_uv(version)


def _known_to_uv(version: str) -> Iterator[Path]:
    argv = [uv_command(), "python", "find", "--no-python-downloads", "--system", "--quiet"]
    found = try_run(Command(argv=[*argv, version], what="uv python find"), timeout=PATIENCE)
    if found.status == 0 and found.stdout.strip():
        yield Path(found.stdout.strip())


def _ask(candidate: Path, version: str) -> Path | None:
    argv = [str(candidate), "-I", "-S", "-c", QUESTION]
    answer = try_run(Command(argv=argv, what="which Python is it"), timeout=PATIENCE)
    words = answer.stdout.split(maxsplit=2)
    if answer.status or len(words) != 3 or words[:2] != ["cpython", version]:
        return None
    base = Path(words[2].strip())
    return base if base.is_file() else candidate
