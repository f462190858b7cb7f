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
from paritylab.imagebuild import halt
from paritylab.runner import Executed
from paritylab.turns import OverError, until


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
        self._opening = threading.Lock()
        self._shop: Shop | School | None = None
        self._busy = 0
        self._timer: threading.Timer | None = None
        self._over = threading.Event()

    def perform(self, message: bytes) -> bytes:
        """Run a message's errands one after another; return their reports.

        Raises MalformedError for what is no such message and ClosingError when all is stopped.
        """
        ids = messages.read_ids(message)
        try:
            with until(self._over), self._at_work(Manifest.read(self.facts)) as shop:
                errands = messages.read_errands(message, shop.environment)
                return b"".join(map(self._told, shop.serve(errands)))
        except OverError:
            raise ClosingError(self.host) from None
        except (LabError, OSError) as fault:  # a matter of this host, whatever the errand
            self._require_open()
            answer = fault if isinstance(fault, LabError) else EngineError(str(fault))
            executed = Executed(answer=answer, versions={})
            reports = (
                Report(id=one, executed=executed, host=self.host, seconds=0.0, elsewhere=True)
                for one in ids
            )
            return b"".join(map(messages.pack_report, reports))

    def _told(self, report: Report) -> bytes:
        self._require_open()
        return messages.pack_report(report)

    def _require_open(self) -> None:
        if self._over.is_set():  # what ends because all is stopped has not failed
            raise ClosingError(self.host)

    def close(self) -> None:
        """Stop every worker; whatever runs, is built or installed fails at once."""
        self._over.set()
        halt(self._over)
        with self._lock:
            shop, self._shop = self._shop, None
            if self._timer:
                self._timer.cancel()
        if shop:
            shop.close()

    @contextmanager
    def _at_work(self, manifest: Manifest) -> Iterator[Shop | School]:
        with self._lock:
            self._require_open()
            if self._timer:
                self._timer.cancel()
            self._busy += 1
        try:
            yield self._open(manifest)
        finally:
            with self._lock:
                self._busy -= 1
                if not self._busy and not self._over.is_set():
                    # A client that was killed says no goodbye.
                    self._timer = threading.Timer(manifest.idle, self._rest)
                    self._timer.daemon = True
                    self._timer.start()

    def _open(self, manifest: Manifest) -> Shop | School:
        with self._opening:  # minutes, perhaps; close() does not wait for it
            self._require_open()
            shop = self._shop or _opened(manifest, self.host, self._threads)
            with self._lock:
                if not self._over.is_set():
                    self._shop = shop
                    return shop
        shop.close()
        raise ClosingError(self.host)

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
