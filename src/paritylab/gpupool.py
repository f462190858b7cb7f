"""The GPUs of one run, shared by its threads and processes: shares are waited for here."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable

from paritylab.errors import LabError, NoGpuError
from paritylab.gpus import Sighting
from paritylab.gpushares import Ledger, Share
from paritylab.stacks import Gpu

LOOK_SECONDS = 5.0
"""Between looks at whether those who hold a share are still alive."""


class GpuPool:
    """Thread-safe front of a Ledger. ``look`` asks the engine which GPUs answer at the moment."""

    def __init__(self, gpus: Iterable[Gpu], look: Callable[[], Sighting]) -> None:
        self._ledger = Ledger(gpus)
        self._look = look
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._holders: dict[str, int] = {}

    @property
    def gpus(self) -> list[Gpu]:
        """The GPUs that have not been lost, by number."""
        with self._changed:
            return self._ledger.gpus

    def lease(self, cell: str, memory_mb: int, holder: int) -> Share | LabError:
        """Wait for a share of a GPU; an error is returned so that it can cross processes.

        ``holder`` is the process that asks: what a dead one held is given to others.
        """
        with self._changed:
            ticket = f"{next(self._numbers)} {cell}"
            self._holders[ticket] = holder
            try:
                self._ledger.ask(ticket, memory_mb)
                while True:
                    share = self._ledger.take(ticket)
                    if share:
                        # The next in the queue may fit beside it.
                        self._changed.notify_all()
                        return share
                    if not self._ledger.waits(ticket):  # the GPUs that could have were lost
                        self._ledger.ask(ticket, memory_mb)
                    if not self._changed.wait(LOOK_SECONDS):
                        self._bury()
            except LabError as fault:
                return fault
            except BaseException:
                self._ledger.give_back(ticket)
                self._changed.notify_all()
                raise

    def release(self, share: Share) -> None:
        """Give a share back."""
        with self._changed:
            self._ledger.give_back(share.ticket)
            self._changed.notify_all()

    def answers(self, gpu: Gpu) -> bool:
        """Look whether a GPU still answers; strike it if not. Asked after a cell has failed."""
        try:
            there = any(seen.uuid == gpu.uuid for seen in self._look().gpus)
        except NoGpuError:
            there = False
        except LabError:
            return True  # the engine cannot tell; the failure speaks for itself
        if not there:
            with self._changed:
                self._ledger.lose(gpu)
                self._changed.notify_all()
        return there

    def _bury(self) -> None:
        for ticket in self._ledger.tickets:
            if not os.path.exists(f"/proc/{self._holders[ticket]}"):
                self._ledger.give_back(ticket)
                self._changed.notify_all()
