"""Figure (f): what a worker holds at most, and what each further cell at a time adds.

A warm worker and its forks share what the framework's import left in memory, so resident sets must
not be added up. In virtual environments the proportional sets are: the sum of ``Pss`` over the
worker and everything below it (``/proc/<pid>/smaps_rollup``), looked at again and again while cells
run. In containers the kernel keeps the cgroup's highest use itself (``memory.peak``, in cgroups of
version 1 ``memory.max_usage_in_bytes``); it counts the tmpfs of the jobs, too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from paritylab.bench.model import Figure, Tell
from paritylab.engines.base import Endpoint, Engine
from paritylab.engines.dockerclient import open_client
from paritylab.errors import EngineError
from paritylab.fleet import LocalFleet
from paritylab.model import Cell
from paritylab.runner import Settings, run_all

AT_ONCE = 4
PASSES = 6
_EVERY = 0.01
_PEAKS = ("memory.peak", "memory/memory.max_usage_in_bytes")  # of cgroups version 2, version 1


def memory(
    cells: Sequence[Cell],
    open_engine: Callable[[], Engine],
    *,
    repeats: int,
    tell: Tell,
) -> list[Figure]:
    """Measure a worker for each of the supported ``cells``; EngineError for a red one."""
    figures = []
    for cell in [cell for cell in cells if not cell.unsupported]:
        alone, more = [], []
        for _ in range(repeats):
            one, many = _peaks(cell, open_engine)
            alone.append(one)
            more.append((many - one) / (AT_ONCE - 1))
        tell(f"{cell.id}: {alone[-1]:.0f} MiB, {more[-1]:.0f} MiB for each further cell")
        figures += [_figure(cell, "peak of a worker that runs one cell", alone)]
        figures += [_figure(cell, f"each further cell at a time, up to {AT_ONCE}", more)]
    return figures


def _figure(cell: Cell, what: str, samples: Sequence[float]) -> Figure:
    return Figure(letter="f", name=f"{cell.id}: {what}", unit="MiB", samples=tuple(samples))


def _peaks(cell: Cell, open_engine: Callable[[], Engine]) -> tuple[float, float]:
    """MiB at most with one cell at a time, and with AT_ONCE; on a worker of its own."""
    engine = open_engine()
    try:
        with LocalFleet(engine) as fleet:
            endpoint = fleet.endpoint(cell.worker_key(Settings().profile))
            if not isinstance(endpoint, Endpoint):
                raise EngineError(f"{cell.id} cannot run here", why=str(endpoint))
            found = []
            for jobs in (1, AT_ONCE):
                with _watched(endpoint) as peak:
                    many = [cell] * (PASSES * jobs)
                    for result in run_all(many, engine, Settings(), jobs=jobs, fleet=fleet):
                        if not result.verdict.green:
                            raise EngineError(f"{result.cell}: {result.message}")
                found.append(peak())
            return found[0], found[1]
    finally:
        engine.close()


@contextmanager
def _watched(endpoint: Endpoint) -> Iterator[Callable[[], float]]:
    """Look at a worker's memory; what is yielded gives the peak in MiB, afterwards."""
    if endpoint.place:
        yield lambda: _container_peak(endpoint.place)
        return
    worker, peak, ended = _worker_of(endpoint), [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(_EVERY):
            peak[0] = max(peak[0], sum(map(_pss, _with_descendants(worker))) / 1024)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield lambda: peak[0]
    finally:
        ended.set()
        watcher.join()


def _container_peak(container: str) -> float:
    either = " || ".join(f"cat /sys/fs/cgroup/{name}" for name in _PEAKS)
    running = open_client().containers.get(container)
    code, (said, why) = running.exec_run(["sh", "-c", either], user="0:0", demux=True)
    if code:
        raise EngineError(
            "a container does not tell its memory's peak",
            why=(why or b"").decode("utf-8", "replace").strip(),
            fix="cgroups with the memory controller (version 2: Linux 5.19 on), or --engine venv",
        )
    return int(said) / (1 << 20)


def _worker_of(endpoint: Endpoint) -> int:
    """The process that has the endpoint's folder as its own: a child of this process."""
    folder = str(Path(endpoint.socket).parent)
    for pid in _children()[os.getpid()]:
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(folder):
                return pid
        except PermissionError as fault:
            raise EngineError(
                "the memory of a worker cannot be read",
                why="a worker lets nobody look into it but root with SYS_PTRACE",
                fix="run as root, or measure in containers: --engine docker",
            ) from fault
        except OSError:  # it has just ended
            continue
    raise EngineError(f"the worker of {endpoint.name} is not to be found in /proc")


def _children() -> dict[int, list[int]]:
    """Every process by its parent."""
    found: dict[int, list[int]] = {os.getpid(): []}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything; the parent is the second field after it.
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            found.setdefault(parent, []).append(int(path.parent.name))
    return found


def _with_descendants(pid: int) -> list[int]:
    children, found = _children(), [pid]
    for one in found:
        found += children.get(one, [])
    return found


def _pss(pid: int) -> float:
    """KiB, 0 for a process that has just ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1])
    return 0.0
