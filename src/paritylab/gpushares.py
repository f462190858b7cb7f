"""Who may use how much of which GPU: a ledger that never promises more than a card has; pure.

First come, first served: whoever waits longest gets the next room that is large enough, so a cell
with a large budget is not overtaken for ever by small ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paritylab.errors import NoGpuError
from paritylab.stacks import Gpu

CONTEXT_MB = 512
"""MiB of a share that the frameworks cannot count: CUDA's context, kernels, handles."""

START_SECONDS = 120.0
"""On top of a cell's own limit: CUDA starts in every job, and may compile kernels for a new GPU."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """A promise: so many MiB of a GPU for one ticket (a cell's run)."""

    ticket: str
    gpu: Gpu
    memory_mb: int


class Ledger:
    """The promises of one run. Not thread-safe; ``gpupool`` guards it."""

    def __init__(self, gpus: Iterable[Gpu]) -> None:
        self._gpus = {gpu.uuid: gpu for gpu in gpus}
        self._lost: dict[str, Gpu] = {}
        self._given: dict[str, Share] = {}
        self._waiting: dict[str, int] = {}

    @property
    def gpus(self) -> list[Gpu]:
        """The GPUs that have not been lost, by number."""
        return sorted(self._gpus.values(), key=lambda gpu: gpu.index)

    def free_mb(self, gpu: Gpu) -> int:
        """Return what is left of a GPU: nothing of a lost one."""
        if gpu.uuid not in self._gpus:
            return 0
        given = sum(s.memory_mb for s in self._given.values() if s.gpu.uuid == gpu.uuid)
        return self._gpus[gpu.uuid].free_mb - given

    def ask(self, ticket: str, memory_mb: int) -> None:
        """Queue up for a share. Raises NoGpuError if no GPU that is left could ever give it."""
        largest = max((gpu.free_mb for gpu in self._gpus.values()), default=0)
        if not self._gpus:
            lost = ", ".join(f"GPU {gpu.index} ({gpu.name})" for gpu in self._lost.values())
            raise NoGpuError(
                "no GPU is left",
                why=f"lost in this run: {lost}" if lost else "none was looked for",
                fix="nvidia-smi; sudo dmesg | grep -i xid; a lost GPU needs a reset or a reboot",
            )
        if memory_mb > largest:
            raise NoGpuError(
                f"{memory_mb} MiB of a GPU are asked for, the largest room is {largest} MiB",
                where="lab.toml: limits.gpu_memory_mb",
                why="other programs may hold the rest (`nvidia-smi` lists them)",
                fix="end them, choose another GPU with --gpus, or ask for less",
            )
        if ticket in self._waiting or ticket in self._given:
            raise ValueError(f"{ticket} has asked already")
        self._waiting[ticket] = memory_mb

    def take(self, ticket: str) -> Share | None:
        """Return the ticket's share once it is its turn and a GPU has room; the emptiest one."""
        if ticket in self._given:
            return self._given[ticket]
        if ticket != next(iter(self._waiting), None):
            return None
        memory = self._waiting[ticket]
        # The number decides between equals, so that a run can be repeated.
        room = [gpu for gpu in self.gpus if self.free_mb(gpu) >= memory]
        if not room:
            return None
        del self._waiting[ticket]
        gpu = max(room, key=lambda gpu: (self.free_mb(gpu), -gpu.index))
        self._given[ticket] = Share(ticket=ticket, gpu=gpu, memory_mb=memory)
        return self._given[ticket]

    @property
    def tickets(self) -> list[str]:
        """Everyone who has a share or waits for one."""
        return [*self._given, *self._waiting]

    def give_back(self, ticket: str) -> None:
        """End a share or a wait; unknown tickets do no harm."""
        self._given.pop(ticket, None)
        self._waiting.pop(ticket, None)

    def lose(self, gpu: Gpu) -> None:
        """Strike a GPU that is gone; who waits gets another one, or the error of ``ask``."""
        lost = self._gpus.pop(gpu.uuid, None)
        if lost:
            self._lost[gpu.uuid] = lost
        for ticket, memory in list(self._waiting.items()):
            if all(left.free_mb < memory for left in self._gpus.values()):
                del self._waiting[ticket]

    def waits(self, ticket: str) -> bool:
        """Whether the ticket is still in the queue."""
        return ticket in self._waiting
