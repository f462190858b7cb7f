"""The containers that submissions run in: their image, their size, how many fit this machine."""

from __future__ import annotations

import os
from typing import Any

from rich.progress import Progress

from paritylab.engines.docker import DockerEngine, ImageOf
from paritylab.engines.dockerclient import open_client
from paritylab.engines.sandbox import Confines
from paritylab.errors import EngineError, UsageError
from paritylab.grade.lanes import Isolation
from paritylab.model import Limits, WorkerKey

WORKERS_MB = 1024
"""Beyond a job's own memory: a worker's framework, and files in memory."""
SHARE = 0.8
"""The part of the engine's memory that sandboxes may have together."""
CPUS = 1.0
_CAGES = {Isolation.CONTAINER: "filter", Isolation.FORK: "namespaces"}


def places(*, memory_mb: int, cores: int, each_mb: int, workers: int, isolation: Isolation) -> int:
    """How many submissions there is room for at a time, in MiB of memory and processors.

    A submission has as many containers of ``each_mb`` as ``workers``: one for each framework.
    Where they are its own, those of the next are made meanwhile: until a submission is in them
    they hold their worker, no more.
    """
    each = workers * each_mb
    if isolation is Isolation.CONTAINER:
        each += workers * WORKERS_MB
    return max(1, min(cores, memory_mb // each))


class Sandboxes:
    """Opens an engine for each lane: one container of one image, as wide as ``limits`` need.

    ``runtime`` is passed on to the engine (``runsc`` is gVisor), ``source`` finds the image, so
    that it need not be built. Raises DockerError when no engine answers, UsageError for a runtime
    that cannot do what ``isolation`` needs.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        isolation: Isolation,
        base: str = "auto",
        runtime: str | None = None,
        source: ImageOf | None = None,
    ) -> None:
        if runtime and isolation is Isolation.FORK:
            raise UsageError(
                f"--isolation fork does not go with --runtime {runtime}",
                why="its lanes need namespaces of the host's own kernel",
                fix=f"--isolation container --runtime {runtime}",
            )
        self._limits, self._base, self._runtime = limits, base, runtime
        self._isolation = isolation
        self._source = source
        self.image = ""
        self._machine: dict[str, Any] = open_client().info()
        self._require_runtime()

    def prepare(self, keys: list[WorkerKey], progress: Progress | None = None) -> str:
        """Make the image, remove what dead runs have left; return the image's id."""
        with DockerEngine(self._base, progress, image=self._source) as engine:
            engine.prepare(keys)
            (self.image,) = engine.images.values()
        return self.image

    def open(self, isolation: Isolation) -> DockerEngine:
        """Return an engine with walls of this kind; nothing is started yet."""
        confines = Confines(
            memory_mb=self._memory_mb(),
            cpus=CPUS,
            pids=512 + 16 * (os.cpu_count() or 1),
            cage=_CAGES[isolation],
            runtime=self._runtime,
        )
        return DockerEngine(image=lambda *_: self.image, confines=confines)

    @property
    def cores(self) -> int:
        """The processors of the engine's machine."""
        return int(self._machine["NCPU"])

    def places(self, workers: int) -> int:
        """How many submissions this engine can run at a time; see ``places``."""
        return places(
            memory_mb=int(self._machine["MemTotal"] * SHARE) >> 20,
            cores=self.cores,
            each_mb=self._memory_mb(),
            workers=workers,
            isolation=self._isolation,
        )

    def _memory_mb(self) -> int:
        return self._limits.memory_mb + WORKERS_MB

    def _require_runtime(self) -> None:
        known = sorted(self._machine.get("Runtimes") or {})
        if self._runtime and self._runtime not in known:
            raise EngineError(
                f"the Docker engine has no runtime `{self._runtime}`",
                where="--runtime",
                why=f"it has {', '.join(known)}",
                fix="install it (gVisor: the package runsc), name it under `runtimes` in the "
                "engine's daemon.json, and reload the engine",
            )
