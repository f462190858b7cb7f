"""The connection to a scheduler: what it has, what it is told of a run, and finding it again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent import futures
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TypeVar

from distributed import Client, Future
from distributed.core import clean_exception
from distributed.protocol.pickle import dumps

from paritylab.cluster.manifest import Manifest
from paritylab.cluster.plugin import SitePlugin, name_of, perform
from paritylab.cluster.schedulers import Scheduler
from paritylab.cluster.settings import Patience
from paritylab.errors import EngineError, NoGpuError
from paritylab.progress import console

TICK_SECONDS = 0.5
LOOK_SECONDS = 2.0
ANSWER_SECONDS = 30.0
"""A scheduler that takes longer for an answer is silent: a stopped one keeps its connections."""
GOODBYE_SECONDS = 30.0
TELL_SECONDS = 5.0
"""A wait for a worker that is longer than this is told."""
SILENT_SECONDS = 20.0
"""A host that was heard of so much longer ago than others is named. Dask's workers report twice a
second where there are few, every 6 s where there are a thousand.
"""
# What Dask's client raises when its connection has gone; ValueError when it has closed itself.
_GONE = (OSError, RuntimeError, ValueError)
_T = TypeVar("_T")


class Link:
    """A client of the scheduler that knows one run; not thread-safe.

    Raises EngineError when no scheduler answers.
    """

    def __init__(self, scheduler: Scheduler, manifest: Manifest, patience: Patience) -> None:
        self.patience = patience
        self._scheduler, self._manifest = scheduler, manifest
        self._number = 0
        self._client: Client | None = None
        self._told: set[str] = set()
        try:
            self._connect(time.monotonic())
        except BaseException:
            self.close()  # a scheduler that knows of the run tells it to every worker to come
            raise

    @property
    def up(self) -> bool:
        """Whether the connection holds and somebody is at its other end."""
        running = self._client is not None and self._client.status == "running"
        silent = 0.0 if self._silent is None else time.monotonic() - self._silent
        return running and silent <= self.patience.scheduler

    def workers(self, *, on_gpu: bool = False, avoid: Collection[str] = ()) -> set[str]:
        """The addresses of workers (with a GPU) of other hosts than ``avoid``.

        As they were at most two seconds ago.
        """
        self._look()
        return {one for one in self._there[on_gpu] if host_of(one) not in avoid}

    def await_places(self) -> int:
        """How many tasks can run at a time; waits for a first worker. 0: the connection has gone.

        Raises EngineError when none comes.
        """
        while self.up:
            self.require()
            if found := sum(self._there[False].values()):
                return found
            time.sleep(TICK_SECONDS)
        return 0

    def require(self, *, on_gpu: bool = False) -> None:
        """Raise EngineError or NoGpuError when no worker (with a GPU) has been seen for too long.

        A worker that died is back within seconds; those of a new scheduler need as long to join.
        """
        self._look()
        since, patience = self._missing.get(on_gpu), self.patience.workers
        waited = 0.0 if since is None else time.monotonic() - since
        if waited <= patience:
            if waited > TELL_SECONDS:
                whom = "a worker with a GPU" if on_gpu else "a worker"
                self._tell(f"waiting for {whom}, {patience:g} s at most")
            return
        if on_gpu:
            raise NoGpuError(
                "no worker of the cluster has a GPU",
                why=f"none has told one for {patience:g} s",
                fix=self._scheduler.start_gpu,
            )
        raise EngineError(
            f"the cluster has no worker after {patience:g} s", fix=self._scheduler.start
        )

    def submit(self, message: bytes, *, among: Collection[str], on_gpu: bool) -> Future | None:
        """Send a message to one of the workers ``among``; to any, where these are none.

        Returns None when the connection has gone.
        """
        self._number += 1
        try:
            return self._running().submit(
                perform,
                self._manifest.run,
                message,
                key=f"{name_of(self._manifest.run)}-{self._number}",
                pure=False,
                # Never allow_other_workers: these may be such that have no GPU.
                workers=list(among) or None,
                resources={"GPU": 1} if on_gpu else None,
            )
        except Exception:
            if self.up:
                raise
            return None

    def cancel(self, futures: list[Future]) -> None:
        """Take tasks back; those that run end with their site."""
        if futures and self.up:
            with suppress(Exception):
                self._running().cancel(futures, force=True)

    def register(self) -> None:
        """Tell every worker of the run, also those to come, once.

        Raises EngineError for hosts that lack our package, and OSError (or what else Dask has for
        it) when the connection has gone. A host that does not answer keeps nobody: all others
        have been told by then.
        """
        plugin = SitePlugin(asdict(self._manifest))
        try:
            facts = {"plugin": dumps(plugin), "name": plugin.name, "idempotent": plugin.idempotent}
            for answer in self._ask("register_worker_plugin", **facts).values():
                if answer["status"] == "error":
                    raise clean_exception(answer["exception"], answer["traceback"])[1]
        except _GONE as fault:
            if not isinstance(fault, OSError) or not self.up:
                raise
            with suppress(*_GONE):
                for host in self._silent_hosts():
                    self._tell(f"{host} says nothing: the run goes on without it")
        except Exception as fault:  # a host's: what it cannot import, Dask tells in words alone
            raise EngineError(
                "a host of the cluster cannot run our jobs",
                why=str(fault),
                fix=f"pip install 'paritylab[cluster]=={self._manifest.version}' on every host",
            ) from fault

    def busy(self) -> list[str]:
        """The hosts that have tasks of anybody; none when the scheduler does not tell."""
        try:
            known = self._ask("processing")
        except _GONE:
            return []
        return sorted({host_of(address) for address, keys in known.items() if keys})

    def renew(self) -> None:
        """Find the scheduler again, or its successor; its silence counts as part of the wait."""
        since = time.monotonic() if self._silent is None else self._silent
        self._hang_up()
        self._connect(since + self.patience.scheduler)

    def close(self) -> None:
        """End what the run has on every host, and hang up."""
        with suppress(TimeoutError):  # a host that is cut off does not keep us
            _within(GOODBYE_SECONDS, self._goodbye)

    def _connect(self, deadline: float) -> None:
        # Of workers, and of those with a GPU: who is there, and since when there are none.
        self._there: dict[bool, dict[str, int]] = {False: {}, True: {}}
        self._missing: dict[bool, float] = {}
        self._looked = 0.0
        self._silent: float | None = None
        while True:
            try:
                self._client = _within(ANSWER_SECONDS, self._scheduler.connect)
                return self.register()
            except _GONE as fault:
                self._hang_up()
                if time.monotonic() >= deadline:
                    raise EngineError(
                        "the cluster's scheduler does not answer",
                        why=str(fault) or type(fault).__name__,
                        fix="start one (dask scheduler), or name another: --cluster local:2",
                    ) from fault
            time.sleep(TICK_SECONDS)

    def _look(self) -> None:
        """See who is there, again after two seconds; note since when nobody says anything."""
        now = time.monotonic()
        if not self.up or (self._there[False] and now - self._looked < LOOK_SECONDS):
            return
        try:
            known: dict[str, Any] = self._ask("identity")["workers"]
        except _GONE:
            self._silent = self._silent or now
            return
        finally:
            self._looked = time.monotonic()
        self._silent = None
        threads = {address: one["nthreads"] for address, one in known.items()}
        gpus = {address for address, one in known.items() if one["resources"].get("GPU", 0) >= 1}
        self._there = {False: threads, True: {address: threads[address] for address in gpus}}
        for on_gpu, found in self._there.items():
            if found:
                self._missing.pop(on_gpu, None)
            else:
                self._missing.setdefault(on_gpu, now)

    def _silent_hosts(self) -> list[str]:
        """Those that the scheduler has not heard of for longer than of others."""
        known = self._ask("identity")["workers"]
        latest = max((one["last_seen"] for one in known.values()), default=0.0)
        return sorted(
            {
                host_of(address)
                for address, one in known.items()
                if latest - one["last_seen"] > SILENT_SECONDS
            }
        )

    def _tell(self, what: str) -> None:
        """Say it on stderr, once."""
        if what not in self._told:
            self._told.add(what)
            console.print(what, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def _ask(self, what: str, **facts: Any) -> Any:
        """The scheduler's answer; raises TimeoutError, an OSError, for one that says nothing."""
        client = self._running()
        return client.sync(
            getattr(client.scheduler, what), callback_timeout=ANSWER_SECONDS, **facts
        )

    def _running(self) -> Client:
        if self._client is None or self._client.scheduler is None:
            raise ConnectionError("the connection has gone")
        return self._client

    def _hang_up(self) -> None:
        with suppress(Exception):
            self._running().close(timeout=1)

    def _goodbye(self) -> None:
        with suppress(Exception):
            if self.up:
                self._running().unregister_worker_plugin(name_of(self._manifest.run))
        with suppress(Exception):
            self._running().close(timeout=5)


def _within(seconds: float, what: Callable[[], _T]) -> _T:
    """What it returns, or TimeoutError: Dask's handshakes wait for ever for one that is stopped."""
    found: futures.Future[_T] = futures.Future()

    def run() -> None:
        try:
            found.set_result(what())
        except BaseException as fault:
            found.set_exception(fault)

    threading.Thread(target=run, daemon=True).start()
    return found.result(timeout=seconds)


def host_of(address: str) -> str:
    """``10.0.0.2`` of ``tcp://10.0.0.2:4711``."""
    return address.rpartition("://")[2].rpartition(":")[0]
