"""How a cluster grows, by simulation: which part is busy first. Pure; see docs/scale.md.

Three servers, each with one queue: the desk (packs, reads, judges, records; one process), Dask's
scheduler (one process), and the hosts' places. Their costs are measured by ``measure``.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, replace

from paritylab.errands import AHEAD, UNDER_WAY


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds that one core needs: per cell at the desk (``send`` and ``receive``), per wait for
    the journal's disk (``record``), per task at the scheduler (half of it on the way out), per
    cell at a place.

    ``order`` and ``report`` are bytes per cell on the wire, ``result`` bytes per cell on the disk.
    """

    send: float
    receive: float
    record: float
    task: float
    cell: float
    order: float
    report: float
    result: float


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a run of so many cells on so many hosts would be.

    ``seconds`` is its wall time, ``ideal`` that of places which are never idle; ``desk``,
    ``scheduler`` and ``places`` are the shares of it in which each is busy; ``rate`` is cells per
    second, ``megabits`` the desk's traffic, ``gigabytes`` what all results take.
    """

    hosts: int
    cells: int
    seconds: float
    ideal: float
    desk: float
    scheduler: float
    places: float
    rate: float
    megabits: float
    gigabytes: float

    @property
    def first(self) -> str:
        """What limits it."""
        shares = {"the desk": self.desk, "the scheduler": self.scheduler, "places": self.places}
        return max(shares, key=lambda name: shares[name])


def outlook(  # noqa: PLR0913 - a cluster, a load, and how both are cut
    costs: Costs, *, hosts: int, threads: int, cells: int, batch: int = 16, commit: int = 1
) -> Outlook:
    """Simulate a run with as many batches ahead as the desk sends.

    The journal waits for its disk once for ``commit`` cells; 0 is a run without a journal.
    """
    record = costs.record / commit if commit else 0.0
    costs = replace(costs, record=record)
    run = _Run(costs, places=hosts * threads, batches=math.ceil(cells / batch), batch=batch)
    seconds = run.play()
    each = costs.send + costs.receive + costs.record
    return Outlook(
        hosts=hosts,
        cells=cells,
        seconds=seconds,
        ideal=cells * costs.cell / (hosts * threads),
        desk=cells * each / seconds,
        scheduler=run.batches * costs.task / seconds,
        places=cells * costs.cell / (hosts * threads * seconds),
        rate=cells / seconds,
        megabits=8e-6 * cells * (costs.order + costs.report) / seconds,
        gigabytes=1e-9 * cells * costs.result,
    )


_ARRIVED, _DONE, _TOLD, _LANDED = range(4)


class _Run:
    """One simulated run: events in the order of their time."""

    def __init__(self, costs: Costs, *, places: int, batches: int, batch: int) -> None:
        self.batches = batches
        self._free = places
        self._window = max(1, min(AHEAD * places, int(UNDER_WAY / (batch * costs.order))))
        self._send, self._run = batch * costs.send, batch * costs.cell
        self._receive = batch * (costs.receive + costs.record)
        self._half = costs.task / 2
        self._desk = self._scheduler = 0.0  # until when each is busy
        self._events: list[tuple[float, int, int]] = []
        self._waiting: deque[int] = deque()
        self._sent = self._landed = 0

    def play(self) -> float:
        """Return the time at which the last batch has landed."""
        now = 0.0
        self._fill(now)
        while self._events:
            now, kind, number = heapq.heappop(self._events)
            if kind == _ARRIVED:
                self._waiting.append(number)
            elif kind == _DONE:
                self._free += 1
                self._scheduler = max(self._scheduler, now) + self._half
                heapq.heappush(self._events, (self._scheduler, _TOLD, number))
            elif kind == _TOLD:
                self._desk = max(self._desk, now) + self._receive
                heapq.heappush(self._events, (self._desk, _LANDED, number))
            else:
                self._landed += 1
                self._fill(now)
            while self._free and self._waiting:
                self._free -= 1
                heapq.heappush(self._events, (now + self._run, _DONE, self._waiting.popleft()))
        return now

    def _fill(self, now: float) -> None:
        while self._sent < self.batches and self._sent - self._landed < self._window:
            self._desk = max(self._desk, now) + self._send
            self._scheduler = max(self._scheduler, self._desk) + self._half
            heapq.heappush(self._events, (self._scheduler, _ARRIVED, self._sent))
            self._sent += 1
