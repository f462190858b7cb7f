"""The swappable edge: what every engine offers to the runner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from paritylab.gpus import Sighting
from paritylab.stacks import Environment, WorkerKey


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a started worker listens: plain strings, so that it can cross processes.

    ``place`` is what the engine needs to find it again (a container id, or empty) and ``socket``
    the worker's Unix socket (inside the container for docker).
    """

    engine: str
    name: str
    place: str
    socket: str


@dataclass(frozen=True, kw_only=True)
class Unavailable:
    """Why an engine cannot serve an environment on this machine, and the command that helps."""

    reason: str
    fix: str


class Channel(Protocol):
    """A byte stream to a worker's session; one job at a time travels on it."""

    def write(self, data: bytes, *, deadline: float) -> None:
        """Send everything before ``deadline`` (``time.monotonic``), else raise WorkerError."""

    def read(self, size: int, *, deadline: float) -> bytes:
        """Return exactly ``size`` bytes; raise TimeoutError at the deadline, WorkerError at EOF."""

    def close(self) -> None:
        """Hang up; the session kills the job it runs."""


class Engine(Protocol):
    """Starts workers and connects to them; a context manager that stops what it started."""

    name: str

    def unavailable(self, key: WorkerKey) -> Unavailable | None:
        """Return why this key cannot run here, or None; must be cheap (no build, no import)."""

    def gpus(self, environment: Environment) -> Sighting:
        """Return the GPUs that workers can be given, and what is said of broken ones.

        ``environment`` is one of those that will run on them. Raises NoGpuError, with what was
        looked for and how to get it, where there can be none.
        """

    def prepare(self, keys: list[WorkerKey]) -> None:
        """Make what the keys need (images, virtual environments), with progress on stderr."""

    def start(self, key: WorkerKey) -> Endpoint:
        """Start a worker, wait until it listens; raise WorkerError with its last words."""

    def connect(self, endpoint: Endpoint) -> Channel:
        """Open a stream to a worker that this or another process of the run started."""

    def stop(self, endpoint: Endpoint) -> None:
        """Stop one worker and everything it runs."""

    def close(self) -> None:
        """Stop everything this engine started."""


def no_stack(key: WorkerKey) -> Unavailable | None:
    """Return why there is nothing to run a key in: its environment has no stack for its device."""
    stacks = key.environment.stacks
    if key.device in stacks:
        return None
    return Unavailable(
        reason=f"{key.environment.name} has no stack for {key.device}",
        fix=f"choose another device: {', '.join(sorted(stacks))}",
    )


def one_per_stack(engine: Engine, keys: Iterable[WorkerKey]) -> list[WorkerKey]:
    """Return a key for every stack that the engine can serve, of those that the keys need."""
    stacks = {(k.environment.name, k.device): k for k in keys if not engine.unavailable(k)}
    return list(stacks.values())
