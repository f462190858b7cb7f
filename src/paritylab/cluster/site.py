"""A host's end: runs the jobs that the desk sends, on warm workers of an engine of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from paritylab.cluster import messages
from paritylab.cluster.manifest import Manifest
from paritylab.cluster.school import School
from paritylab.cluster.shop import Shop
from paritylab.errands import Report
from paritylab.errors import EngineError, LabError
from paritylab.runner import Executed


class ClosingError(Exception):
    """A site was asked while it ends, or ended while it was asked: another one is to be."""


class Site:
    """What one process of a cluster has of one run; thread-safe.

    ``facts`` are those of a Manifest; ``host`` is its name in reports, ``threads`` how many jobs
    it is given at a time.
    """

    def __init__(self, facts: Mapping[str, Any], *, host: str, threads: int) -> None:
        self.facts, self.host = facts, host
        self._threads = threads
        self._lock = threading.Lock()
        self._shop: Shop | School | None = None
        self._busy = 0
        self._timer: threading.Timer | None = None
        self._closed = False

    def perform(self, message: bytes) -> bytes:
        """Run a message's errands one after another; return their reports.

        Raises MalformedError for what is no such message and ClosingError when all is stopped.
        """
        ids = messages.read_ids(message)
        try:
            with self._at_work(Manifest.read(self.facts)) as shop:
                errands = messages.read_errands(message, shop.environment)
                return b"".join(map(self._told, shop.serve(errands)))
        except (LabError, OSError) as fault:  # a matter of this host, whatever the errand
            answer = fault if isinstance(fault, LabError) else EngineError(str(fault))
            executed = Executed(answer=answer, versions={})
            reports = (
                Report(id=one, executed=executed, host=self.host, seconds=0.0, elsewhere=True)
                for one in ids
            )
            return b"".join(map(messages.pack_report, reports))

    def _told(self, report: Report) -> bytes:
        if self._closed:  # what ends because all is stopped has not failed
            raise ClosingError(self.host)
        return messages.pack_report(report)

    def close(self) -> None:
        """Stop every worker; whatever runs fails at once."""
        with self._lock:
            self._closed = True
            shop, self._shop = self._shop, None
            if self._timer:
                self._timer.cancel()
        if shop:
            shop.close()

    @contextmanager
    def _at_work(self, manifest: Manifest) -> Iterator[Shop | School]:
        with self._lock:
            if self._closed:
                raise ClosingError(self.host)
            if self._timer:
                self._timer.cancel()
            if self._shop is None:
                self._shop = _opened(manifest, self.host, self._threads)
            shop = self._shop
            self._busy += 1
        try:
            yield shop
        finally:
            with self._lock:
                self._busy -= 1
                if not self._busy and not self._closed:
                    # A client that was killed says no goodbye.
                    self._timer = threading.Timer(manifest.idle, self._rest)
                    self._timer.daemon = True
                    self._timer.start()

    def _rest(self) -> None:
        with self._lock:
            if self._busy:
                return
            shop, self._shop = self._shop, None
        if shop:
            shop.close()


def _opened(manifest: Manifest, host: str, threads: int) -> Shop | School:
    if manifest.use == "grade":
        return School(manifest, host=host, threads=threads)
    return Shop(manifest, host=host, most=threads + 1)
