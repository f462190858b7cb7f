"""This machine's end: hands batches to Dask, again where a host has gone; each answer counts once.

Dask itself runs a task again when its worker dies. What is done here is the rest: a scheduler that
went away (everything that has no answer is asked again on the next one), a host that cannot do
what others can (asked elsewhere), jobs whose hosts keep dying, and hosts that fall silent (told so
in the end).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any, Self

from distributed import Future, KilledWorker

from paritylab.cluster import messages
from paritylab.cluster.link import TICK_SECONDS, Link, host_of
from paritylab.cluster.plugin import UnknownRunError
from paritylab.cluster.site import ClosingError
from paritylab.engines.base import Unavailable
from paritylab.errands import AHEAD, UNDER_WAY, Errand, Report
from paritylab.errors import EngineError
from paritylab.runner import Executed
from paritylab.worker import MalformedError

ATTEMPTS = 3
"""Hosts that are asked, where one after the other fails; the last is asked errand by errand.
One that has not what a job needs says so at once and does not count: another one may have it.
"""
DEATHS = 2
"""Times that Dask gives up a task whose workers die; it tries several each time."""
FETCH_SECONDS = 120.0
_FETCHERS = 8
_ALONE = "see how it ends on this machine (without --cluster), or what `paritylab join` printed"
_HUNG = "see what hangs there; more time: `answer` of [patience] in cluster.toml"


@dataclass(kw_only=True)
class _Flight:
    """A batch under way. ``avoid`` are hosts that could not; ``future`` is the one that counts.

    ``among`` are the workers that may run it, where not all may; ``size`` is that of its message.
    """

    errands: Sequence[Errand]
    avoid: frozenset[str] = frozenset()
    among: set[str] = field(default_factory=set)
    future: Future | None = None
    size: int = 0
    faults: int = 0
    deaths: int = 0  # of workers that it was alone on
    alone: bool = False

    @property
    def on_gpu(self) -> bool:
        return any(one.on_gpu for one in self.errands)


class DaskDesk:
    """See errands.Desk; a context manager that leaves nothing of the run on any host.

    Not thread-safe. ``images`` collects, per environment and device, the images that were used;
    ``hosts`` how many errands each host has answered.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self.images: dict[str, str] = {}
        self.hosts: dict[str, int] = {}
        self._flying: dict[int, _Flight] = {}
        self._under_way = 0  # bytes
        self._heard = time.monotonic()
        self._deaf = False  # what was out was given up, and nobody has answered since
        self._again: list[_Flight] = []
        self._suspects: list[_Flight] = []
        self._landed: SimpleQueue[tuple[_Flight, Future, Any]] = SimpleQueue()
        self._fetching = ThreadPoolExecutor(_FETCHERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def places(self) -> int:
        """See Desk; waits for a first worker, and finds the scheduler again where it went away.

        Raises EngineError when none comes.
        """
        begun = time.monotonic()
        while not (found := self._link.await_places()):
            self._renew()
        self._heard += time.monotonic() - begun  # nobody was silent in the meantime
        return found

    def reports(self, batches: Iterable[Sequence[Errand]]) -> Iterator[Report]:
        """See Desk."""
        supply = iter(batches)
        try:
            while True:
                self._fill(supply)
                if not (self._flying or self._again or self._suspects):
                    return
                yield from self._next()
        finally:
            self._drop()

    def close(self) -> None:
        """Cancel what runs, end the run's workers on every host, hang up."""
        self._drop()
        self._link.close()
        self._fetching.shutdown(wait=False, cancel_futures=True)

    def _fill(self, supply: Iterator[Sequence[Errand]]) -> None:
        """Send as many batches as there is room for; those that have no answer yet first."""
        window = AHEAD * self.places
        while len(self._flying) < window and self._under_way < UNDER_WAY:
            if self._again:
                self._send(self._again.pop())
            elif (errands := next(supply, None)) is not None:
                self._send(_Flight(errands=errands))
            elif not self._again:  # the supply may have found the scheduler gone
                break
        if not self._flying and self._suspects:
            self._send(self._suspects.pop())

    def _send(self, flight: _Flight) -> None:
        message = b"".join(map(messages.pack_errand, flight.errands))
        on_gpu, avoid = flight.on_gpu, flight.avoid
        flight.among = self._link.workers(on_gpu=on_gpu, avoid=avoid) if avoid else set()
        future = self._link.submit(message, among=flight.among, on_gpu=on_gpu)
        if future is None:
            self._again.append(flight)
            self._renew()
            return
        if not self._flying:
            self._heard = time.monotonic()
        flight.future, flight.size = future, len(message)
        self._flying[id(flight)] = flight
        self._under_way += flight.size
        future.add_done_callback(lambda done: self._fetch(flight, done))

    def _land(self, flights: Iterable[_Flight]) -> list[Future]:
        """Take flights from those under way; return the futures that counted."""
        landed = [self._flying.pop(id(flight)) for flight in flights]
        futures = [flight.future for flight in landed if flight.future]
        for flight in landed:
            self._under_way -= flight.size
            flight.future = None
        return futures

    def _fetch(self, flight: _Flight, future: Future) -> None:
        """Called by Dask when a task has ended: get its answer without keeping Dask waiting."""

        def get() -> None:
            outcome: Any
            try:
                outcome = future.result(timeout=FETCH_SECONDS)
            except BaseException as fault:
                outcome = fault
            self._landed.put((flight, future, outcome))

        with suppress(RuntimeError):  # the desk is closed
            self._fetching.submit(get)

    def _next(self) -> Iterator[Report]:
        """The reports of the next batch that has landed, if one does within a moment."""
        try:
            flight, future, outcome = self._landed.get(timeout=TICK_SECONDS)
        except Empty:
            yield from self._look_after()
            return
        if flight.future is not future or id(flight) not in self._flying:
            return  # the answer to a question that was asked again
        self._land([flight])
        self._heard, self._deaf = time.monotonic(), False
        if isinstance(outcome, bytes):
            yield from self._answered(flight, outcome)
        else:
            yield from self._failed(flight, future, outcome)

    def _look_after(self) -> Iterator[Report]:
        """Nothing has come for a moment: see that there is somebody to wait for."""
        on_gpu = any(flight.on_gpu for flight in self._flying.values())
        self._link.require(on_gpu=on_gpu)
        if not self._link.workers(on_gpu=on_gpu):
            self._heard = time.monotonic()
        there = self._link.workers()
        lost = [
            flight for flight in self._flying.values()
            if (flight.future and flight.future.status == "lost")
            or (flight.among and not flight.among & there)
        ]  # fmt: skip
        self._link.cancel(self._land(lost))
        self._again += lost
        if self._flying and time.monotonic() - self._heard > self._link.patience.answer:
            yield from self._unheard()

    def _unheard(self) -> Iterator[Report]:
        """Hosts that live but say nothing: what they have is given up, and the second time all."""
        silent = f"no answer for {self._link.patience.answer:g} s"
        why = f"{', '.join(self._link.busy()) or 'the cluster'}: {silent}"
        if self._deaf:
            raise EngineError("the cluster's hosts say nothing", why=why, fix=_HUNG)
        flights = list(self._flying.values())
        self._link.cancel(self._land(flights))
        self._deaf = True
        for flight in flights:
            yield from _given_up(flight, why, fix=_HUNG)

    def _answered(self, flight: _Flight, data: bytes) -> Iterator[Report]:
        try:
            reports = messages.read_reports(data, [one.id for one in flight.errands])
        except MalformedError as fault:
            yield from self._refused(flight, f"a host's answer is broken: {fault}")
            return
        for errand, report in zip(flight.errands, reports, strict=True):
            host = host_of(report.host)
            avoid = flight.avoid | {host}
            faults = flight.faults + (not isinstance(report.answer, Unavailable))
            more = report.elsewhere and faults < ATTEMPTS
            if more and self._link.workers(on_gpu=errand.on_gpu, avoid=avoid):
                self._again.append(_Flight(errands=[errand], avoid=avoid, faults=faults))
            else:
                self._note(errand, report, host)
                yield report

    def _note(self, errand: Errand, report: Report, host: str) -> None:
        self.hosts[host] = self.hosts.get(host, 0) + 1
        if report.image:
            place = f"{errand.key.environment.name}-{errand.key.device}"
            known = {*self.images.get(place, "").split(", "), report.image}
            self.images[place] = ", ".join(sorted(known - {""}))

    def _failed(self, flight: _Flight, future: Future, fault: object) -> Iterator[Report]:
        if future.status in ("cancelled", "lost") or not self._link.up:
            self._again.append(flight)  # nobody cancels but a scheduler that went
        elif isinstance(fault, UnknownRunError):
            with suppress(OSError, RuntimeError, ValueError):  # the connection has gone
                self._link.register()  # a scheduler that was never told of us
            yield from self._refused(flight, "a host was never told of the run")
        elif isinstance(fault, KilledWorker):
            yield from self._killed(flight)
        elif isinstance(fault, TimeoutError):
            why = f"its answer could not be fetched within {FETCH_SECONDS:g} s"
            yield from self._refused(flight, why)
        elif isinstance(fault, OSError | ClosingError):
            yield from self._refused(flight, f"its host went away ({fault})")
        else:
            yield from self._refused(flight, str(fault))

    def _killed(self, flight: _Flight) -> Iterator[Report]:
        """Workers die under a batch, or under what ran beside it on the same worker.

        Its errands are asked again in the end, each alone in the whole cluster: then it is certain
        which of them brings workers down.
        """
        if not flight.alone:
            self._suspects += [_Flight(errands=[one], alone=True) for one in flight.errands]
            return
        flight.deaths += 1
        if flight.deaths < DEATHS:
            self._suspects.append(flight)
            return
        yield from _given_up(flight, "the workers of the cluster that ran it died, each of them")

    def _refused(self, flight: _Flight, why: str) -> Iterator[Report]:
        """Count an attempt in vain; in the last, whatever spoils a batch spoils no other errand."""
        flight.faults += 1
        if flight.faults >= ATTEMPTS:
            yield from _given_up(flight, why)
        elif flight.faults == ATTEMPTS - 1:
            self._again += [replace(flight, errands=[one]) for one in flight.errands]
        else:
            self._again.append(flight)

    def _renew(self) -> None:
        """Find the scheduler again; what has no answer is asked again."""
        flights = list(self._flying.values())
        self._land(flights)
        self._again += flights
        self._link.renew()

    def _drop(self) -> None:
        self._again.clear()
        self._suspects.clear()
        self._link.cancel(self._land(list(self._flying.values())))


def _given_up(flight: _Flight, why: str, fix: str = _ALONE) -> Iterator[Report]:
    fault = EngineError("no host of the cluster could run it", why=why, fix=fix)
    for errand in flight.errands:
        executed = Executed(answer=fault, versions={})
        yield Report(id=errand.id, executed=executed, host="", seconds=0.0)
