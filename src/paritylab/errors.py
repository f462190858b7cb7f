"""Every error a user can meet, one exit code per kind that a script could care about.

LabError
├── UsageError            2   the command line, or a name on it, is wrong
├── CatalogError          2   a file of labs/ or environments/ is wrong
├── LockError             2   a lock is missing, foreign or does not match its .in file
├── JournalError          2   a journal is missing, foreign, broken or in use
├── BundleError           2   an evidence bundle is corrupt, foreign or does not verify
├── SubmissionError       2   the folder of submissions, or a rubric's use, is wrong
├── EngineError           3   the engine cannot run cells
│   ├── DockerError       3   the Docker engine does not answer, refuses or fails
│   ├── InterpreterError  3   the Python that an environment needs is not on this machine
│   ├── NoGpuError        3   no GPU can be used: none there, lost, or its driver too old
│   └── WorkerError       3   a worker did not start, died or broke the protocol
│       └── HungUpError   3   a worker closed its stream
└── ImageError            3   wheels, base or build failed
    └── DiskFullError     3   no space left for an image

A cell that is not green is a verdict, not an error (exit 1); Ctrl-C exits with 130.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

EXIT_GREEN = 0
EXIT_RED = 1
EXIT_INPUT = 2
EXIT_ENGINE = 3
EXIT_INTERRUPTED = 130


class LabError(Exception):
    """What went wrong, where, why, and what to type next.

    Parameters are sentences or fragments for people: ``what`` is required; ``where`` is a file
    and key such as ``labs/train/lab.toml: outputs.loss.rtol``; ``fix`` is a command or an action.
    """

    exit_code: ClassVar[int] = EXIT_ENGINE

    def __init__(
        self, what: str, *, where: str | None = None, why: str | None = None, fix: str | None = None
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.why, self.fix = what, where, why, fix

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        lines = [head]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


class UsageError(LabError):
    """The command line, or a name on it, is wrong."""

    exit_code = EXIT_INPUT


class CatalogError(LabError):
    """A file of labs/ or environments/ is wrong."""

    exit_code = EXIT_INPUT


class LockError(LabError):
    """A lock is missing, was not written by us, or does not match its input."""

    exit_code = EXIT_INPUT


class JournalError(LabError):
    """A journal is missing, was begun with other facts, is broken or in use."""

    exit_code = EXIT_INPUT


class BundleError(LabError):
    """An evidence bundle is corrupt, from a newer schema, or does not verify."""

    exit_code = EXIT_INPUT


class SubmissionError(LabError):
    """The folder of submissions cannot be graded as it is."""

    exit_code = EXIT_INPUT


class EngineError(LabError):
    """The engine cannot run cells."""


class DockerError(EngineError):
    """The Docker engine does not answer, refuses or fails."""


class InterpreterError(EngineError):
    """The Python that an environment needs is not on this machine."""


class NoGpuError(EngineError):
    """No GPU can be used: there is none, it was lost, or its driver is too old."""


class WorkerError(EngineError):
    """A worker did not start, died or broke the protocol."""


class HungUpError(WorkerError):
    """A worker closed its stream: it died, or was killed."""


class ImageError(LabError):
    """Wheels, base image or build failed."""


class DiskFullError(ImageError):
    """No space left for an image."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return `` (did you mean `x`?)`` for the valid name closest to ``name``, else the choices."""
    choices = sorted(valid)
    match = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if match:
        return f"did you mean `{match[0]}`?"
    return f"valid: {', '.join(choices)}" if choices else "there is none"
