"""Running other programs of the host: pip, uv, interpreters, mmdebstrap."""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from paritylab.errors import ImageError, LabError
from paritylab.turns import go_on

TAIL = 12
"""Lines of a failed command's error output that its message repeats."""
_CLEAR_UP = 5.0
_LOOK = 0.05
"""Seconds between two looks whether a program has ended, or its end is still waited for."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a program left: its exit status and its two streams as text."""

    status: int
    stdout: str
    stderr: str

    @property
    def tail(self) -> str:
        """The last lines of its error output (or of its output, if there are none)."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return "\n       ".join(lines[-TAIL:])


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program with its arguments, and what to say when it fails.

    ``environment`` replaces the whole environment when it is given; ``what`` is the sentence of
    the error, ``fix`` what people can do about it, ``error`` its class.
    """

    argv: Sequence[str]
    what: str
    fix: str | None = None
    error: type[LabError] = ImageError
    environment: Mapping[str, str] | None = None
    folder: Path | None = None

    def failure(self, finished: Finished) -> LabError:
        """Return the error that tells people why this command failed."""
        why = f"{Path(self.argv[0]).name} exited with {finished.status}: {finished.tail}"
        return self.error(self.what, why=why, fix=self.fix)


@dataclass(frozen=True)
class _Started:
    process: subprocess.Popen[bytes]
    errors: IO[str]


def try_run(command: Command, *, timeout: float | None = None) -> Finished:
    """Run to the end and return what happened; status 127 when it cannot start, 124 when late.

    In a thread of ``together`` whose work is of no more use it is killed; see ``turns.go_on``.
    """
    try:
        process = subprocess.Popen(
            command.argv,
            env=command.environment,
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as fault:
        return Finished(status=127, stdout="", stderr=str(fault))
    with process:
        try:
            stdout, stderr = _streams(process, timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            return Finished(status=124, stdout="", stderr=f"no end after {timeout} s")
        except BaseException:
            _end(process)
            raise
    return Finished(status=process.returncode, stdout=stdout, stderr=stderr)


def _end(process: subprocess.Popen[str]) -> None:
    """End a program; one that has to clear up has some seconds for it."""
    process.terminate()
    try:
        process.wait(_CLEAR_UP)
    except subprocess.TimeoutExpired:
        process.kill()


def _streams(process: subprocess.Popen[str], timeout: float | None) -> tuple[str, str]:
    """What a process has written when it ends; TimeoutExpired, or OverError, if that is later."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        go_on()
        left = max(0.0, deadline - time.monotonic())
        try:
            return process.communicate(timeout=min(_LOOK, left))
        except subprocess.TimeoutExpired:
            if left <= _LOOK:
                raise


def run(command: Command) -> str:
    """Run to the end and return its output; raise ``command.error`` when it fails."""
    finished = try_run(command)
    if finished.status:
        raise command.failure(finished)
    return finished.stdout


def run_each(commands: Sequence[Command], *, jobs: int) -> Iterator[tuple[int, Finished]]:
    """Run up to ``jobs`` at a time; yield index and result of each as it ends.

    All of it happens in the caller's thread, so that Ctrl-C or ``turns.go_on`` reaches it:
    whatever still runs when the iteration ends, is killed.
    """
    waiting = list(enumerate(commands))[::-1]
    running: dict[int, _Started] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                index, command = waiting.pop()
                running[index] = _start(command)
            ended = [index for index, it in running.items() if it.process.poll() is not None]
            for index in ended:
                yield index, _collect(running.pop(index))
            if not ended:
                go_on()
                time.sleep(_LOOK)
    finally:
        for started in running.values():
            started.process.kill()
            _collect(started)


def _start(command: Command) -> _Started:
    # A file, not a pipe: nobody reads while it runs, and a full pipe would stop it for ever.
    errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
    process = subprocess.Popen(
        command.argv,
        env=command.environment,
        cwd=command.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
    )
    return _Started(process=process, errors=errors)


def _collect(started: _Started) -> Finished:
    with started.errors:
        started.errors.seek(0)
        stderr = started.errors.read()
    return Finished(status=started.process.wait(), stdout="", stderr=stderr)


def without(prefix: str) -> dict[str, str]:
    """Return this process's environment less the variables that start with ``prefix``."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
