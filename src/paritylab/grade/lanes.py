"""Where submissions run: sandboxes with warm workers, prepared ahead of the need.

A lane serves one submission at a time. With ``Isolation.CONTAINER`` it is a fresh container that is
gone afterwards; with ``Isolation.FORK`` a container that lives on, whose workers fork every session
into namespaces of its own (see ``paritylab.cage``). What each costs in time and in safety is in
docs/grading-isolation.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import Self

from paritylab.engines.base import Endpoint, Engine
from paritylab.errors import EngineError, LabError
from paritylab.model import WorkerKey
from paritylab.wire import Job, JobResult, Session

GRACE_SECONDS = 1.5
"""The worker ends a job at its deadline; after this much more, the whole sandbox is ended."""
SERVED = 500
"""Submissions after which a long-lived lane is replaced: its uids are far from used up."""


class Isolation(StrEnum):
    """What keeps one submission from the next."""

    CONTAINER = "container"
    FORK = "fork"


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A job that got no answer: what happened, and whether its worker had taken it."""

    fault: LabError
    taken: bool


class Lane:
    """A sandbox of its own with a warm worker for each key; not thread-safe.

    ``close`` may be called from any thread, and ends whatever runs. ``waited`` is how many seconds
    the last job took from being sent to its answer, or to giving up on it.
    """

    def __init__(self, engine: Engine, keys: Sequence[WorkerKey]) -> None:
        self._engine, self._keys = engine, keys
        self._workers: dict[str, Endpoint] = {}
        self._open: tuple[str, Session] | None = None
        self.spoilt = False
        self.served = 0
        self.waited = 0.0

    def prepare(self) -> Self:
        """Start the workers, all at once; raises LabError."""
        with ThreadPoolExecutor(len(self._keys)) as pool:
            for key, endpoint in zip(
                self._keys, pool.map(self._engine.start, self._keys), strict=True
            ):
                self._workers[key.name] = endpoint
        return self

    def run(self, key: WorkerKey, job: Job) -> JobResult | Trouble:
        """Run a job of the submission whose turn it is; after Trouble the lane is spoilt."""
        taken = False
        try:
            session = self._session(key)
            taken, began = True, time.monotonic()
            try:
                return session.run(job)
            finally:
                self.waited = time.monotonic() - began
        except LabError as fault:
            self.spoilt = True
            self.clear()
            return Trouble(fault=fault, taken=taken)

    def clear(self) -> None:
        """End the submission's session, and with it everything that it has started."""
        opened, self._open = self._open, None
        if opened:
            with suppress(LabError, OSError):
                opened[1].close()

    def close(self) -> None:
        """End the sandbox; twice does no harm."""
        self.clear()  # a stream that nobody reads would keep the engine from ending anything
        with suppress(LabError):
            self._engine.close()

    def _session(self, key: WorkerKey) -> Session:
        """One session at a time: what one framework's jobs start, those of the next never meet."""
        if self._open and self._open[0] == key.name:
            return self._open[1]
        self.clear()
        channel = self._engine.connect(self._workers[key.name])
        session = Session(channel, grace=GRACE_SECONDS)
        self._open = (key.name, session)
        return session


class Lanes:
    """A supply of lanes; a context manager that leaves none behind.

    ``engine`` opens a sandbox of a kind of isolation, which starts nothing yet. ``ahead`` lanes
    are prepared before they are asked for, ``wanted`` is how many submissions will ask.
    """

    def __init__(
        self,
        engine: Callable[[Isolation], Engine],
        keys: Sequence[WorkerKey],
        *,
        isolation: Isolation,
        ahead: int,
        wanted: int,
    ) -> None:
        self._engine, self._keys, self._isolation = engine, keys, isolation
        # A container serves one submission; a lane that lives on is made again if it must be.
        self._to_come = wanted if isolation is Isolation.CONTAINER else min(ahead, wanted)
        self._lock = threading.Lock()
        self._ready: SimpleQueue[Future[Lane]] = SimpleQueue()
        self._alive: set[Lane] = set()
        self._closed = False
        self._preparing = ThreadPoolExecutor(max(1, ahead))
        self._leaving = ThreadPoolExecutor(max(1, ahead))
        for _ in range(min(ahead, wanted)):
            self._prepare_one()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def borrow(self) -> Iterator[Lane]:
        """A lane for one submission, prepared if it could be; raises LabError if there is none."""
        future = self._next()
        if self._isolation is Isolation.CONTAINER:
            self._prepare_one()
        lane = None
        try:
            lane = future.result()
            yield lane
        finally:
            self._take_back(lane)

    @contextmanager
    def fresh(self) -> Iterator[Lane]:
        """A container of its own, made now, for what went wrong in another lane."""
        lane = self._make(Isolation.CONTAINER)
        try:
            yield lane
        finally:
            self._discard(lane)

    def close(self) -> None:
        """End every lane, also those in use and those being prepared."""
        with self._lock:
            self._closed = True
            alive = list(self._alive)
        self._preparing.shutdown(wait=False, cancel_futures=True)
        with ThreadPoolExecutor(max(1, len(alive))) as pool:
            list(pool.map(Lane.close, alive))
        self._preparing.shutdown(wait=True)
        self._leaving.shutdown(wait=True)

    def _next(self) -> Future[Lane]:
        while not self._closed:
            with suppress(Empty):
                return self._ready.get(timeout=0.5)
        raise EngineError("the grader is stopping")

    def _prepare_one(self) -> None:
        with self._lock:
            if self._closed or self._to_come <= 0:
                return
            self._to_come -= 1
            self._ready.put(self._preparing.submit(self._make, self._isolation))

    def _make(self, isolation: Isolation) -> Lane:
        lane = Lane(self._engine(isolation), self._keys)
        with self._lock:
            if self._closed:
                lane.close()
                raise EngineError("the grader is stopping")
            self._alive.add(lane)
        try:
            return lane.prepare()
        except BaseException:
            self._discard(lane)
            raise

    def _take_back(self, lane: Lane | None) -> None:
        """Keep a lane that lives on and is as it was; replace any other."""
        if lane is not None:
            lane.clear()
            lane.served += 1
            again = self._isolation is Isolation.FORK and lane.served < SERVED
            if again and not lane.spoilt and not self._closed:
                kept: Future[Lane] = Future()
                kept.set_result(lane)
                self._ready.put(kept)
                return
            with suppress(RuntimeError):  # the supply is closed, and has ended this one
                self._leaving.submit(self._discard, lane)
        if self._isolation is Isolation.FORK:
            with self._lock:
                self._to_come += 1
            self._prepare_one()

    def _discard(self, lane: Lane) -> None:
        lane.close()
        with self._lock:
            self._alive.discard(lane)
