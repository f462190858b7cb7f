"""The connection to a scheduler: what it has, what it is told of a run, and finding it again."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from distributed import Client, Future

from paritylab.cluster.manifest import Manifest
from paritylab.cluster.plugin import SitePlugin, name_of, perform
from paritylab.cluster.schedulers import Scheduler
from paritylab.cluster.settings import Patience
from paritylab.errors import EngineError, NoGpuError

TICK_SECONDS = 0.5
LOOK_SECONDS = 2.0
GOODBYE_SECONDS = 30.0
# What Dask's client raises when its connection has gone; ValueError when it has closed itself.
_GONE = (OSError, RuntimeError, ValueError)


class Link:
    """A client of the scheduler that knows one run; not thread-safe.

    Raises EngineError when no scheduler answers.
    """

    def __init__(self, scheduler: Scheduler, manifest: Manifest, patience: Patience) -> None:
        self._scheduler, self._manifest, self._patience = scheduler, manifest, patience
        self._workers: dict[str, int] = {}
        self._looked = 0.0
        self._number = 0
        self._client: Client = self._connected(0.0)

    @property
    def up(self) -> bool:
        """Whether the connection holds."""
        return bool(self._client.status == "running")

    @property
    def hosts(self) -> set[str]:
        """The hosts that have workers, as they were at most two seconds ago."""
        return set(map(host_of, self._look()))

    @property
    def places(self) -> int:
        """How many tasks can run at a time; waits for a first worker.

        Raises EngineError when none comes.
        """
        begun = time.monotonic()
        while not sum(self._look().values()):
            if time.monotonic() - begun > self._patience.workers:
                raise EngineError(
                    f"the cluster has no worker after {self._patience.workers:g} s",
                    fix=self._scheduler.start,
                )
            time.sleep(TICK_SECONDS)
        return sum(self._workers.values())

    def submit(self, message: bytes, *, avoid: Collection[str], on_gpu: bool) -> Future | None:
        """Send a message to some host, rather not to one of ``avoid``.

        Returns None when the connection has gone.
        """
        if on_gpu:
            self._require_gpus()
        kept = [one for one in self._workers if host_of(one) not in avoid] if avoid else []
        self._number += 1
        try:
            return self._client.submit(
                perform,
                self._manifest.run,
                message,
                key=f"{name_of(self._manifest.run)}-{self._number}",
                pure=False,
                workers=kept or None,
                allow_other_workers=bool(kept),
                resources={"GPU": 1} if on_gpu else None,
            )
        except _GONE:
            return None

    def cancel(self, futures: list[Future]) -> None:
        """Take tasks back; those that run end with their site."""
        if futures and self.up:
            with suppress(*_GONE):
                self._client.cancel(futures, force=True)

    def register(self) -> None:
        """Tell every worker of the run, also those to come."""
        try:
            self._client.register_plugin(SitePlugin(asdict(self._manifest)))
        except (ModuleNotFoundError, AttributeError) as fault:
            raise EngineError(
                "a host of the cluster cannot run our jobs",
                why=str(fault),
                fix=f"pip install 'paritylab[cluster]=={self._manifest.version}' on every host",
            ) from fault

    def renew(self) -> None:
        """Find the scheduler again, or its successor."""
        with suppress(Exception):
            self._client.close(timeout=1)
        self._workers, self._looked = {}, 0.0
        self._client = self._connected(self._patience.scheduler)

    def close(self) -> None:
        """End what the run has on every host, and hang up."""
        goodbye = threading.Thread(target=self._goodbye, daemon=True)
        goodbye.start()
        goodbye.join(GOODBYE_SECONDS)  # a host that is cut off does not keep us

    def _connected(self, patience: float) -> Client:
        deadline = time.monotonic() + patience
        while True:
            try:
                self._client = self._scheduler.connect()
                self.register()
                return self._client
            except _GONE as fault:
                if time.monotonic() >= deadline:
                    raise EngineError(
                        "the cluster's scheduler does not answer",
                        why=str(fault) or type(fault).__name__,
                        fix="start one (dask scheduler), or name another: --cluster local:2",
                    ) from fault
            time.sleep(TICK_SECONDS)

    def _look(self) -> dict[str, int]:
        """The workers and their threads."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            with suppress(*_GONE):
                self._workers = dict(self._client.nthreads())
                self._looked = time.monotonic()
        return self._workers

    def _require_gpus(self) -> None:
        known: dict[str, Any] = self._client.scheduler_info()["workers"]
        if not any(one.get("resources", {}).get("GPU", 0) >= 1 for one in known.values()):
            raise NoGpuError(
                "no worker of the cluster has a GPU",
                why="none was started with the resource GPU",
                fix=f'{self._scheduler.start} --resources "GPU=1"',
            )

    def _goodbye(self) -> None:
        with suppress(Exception):
            if self.up:
                self._client.unregister_worker_plugin(name_of(self._manifest.run))
        with suppress(Exception):
            self._client.close(timeout=5)


def host_of(address: str) -> str:
    """``10.0.0.2`` of ``tcp://10.0.0.2:4711``."""
    return address.rpartition("://")[2].rpartition(":")[0]
