"""Figure (e): the same cells with 1, 2, 4 and 8 pytest processes, and with one for each core.

``pytest -n k`` may use min(k, cores) cores: with one process the whole run, its workers included,
is held on one core, so that efficiency = t(1) / (min(k, cores) * t(k)) compares a core with as many
cores, and not a run that already used a second one. What the machine itself gives is measured
beside it with a loop of arithmetic: two "cores" of a virtual machine may be one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from paritylab.bench.model import Figure, Target, Tell
from paritylab.errors import EngineError
from paritylab.shipped import shipped

PROCESSES = (1, 2, 4, 8)
EFFICIENT = Target(least=0.9)
_LOOP = "x = 1.0\nfor _ in range(30_000_000): x = x * 1.0000001"


def scaling(options: Sequence[str], root: Path, *, repeats: int, tell: Tell) -> list[Figure]:
    """Measure ``pytest tests/labs`` with the matrix options; EngineError where a run is not green.

    A first run that is not measured makes what has to be made (images, virtual environments).
    """
    cores = len(os.sched_getaffinity(0))
    counts = sorted({*PROCESSES, cores})
    times: dict[int, list[float]] = {k: [] for k in counts}
    loops: dict[int, list[float]] = {k: [] for k in (1, cores)}
    _run(options, root, cores, cores)
    for repeat in range(repeats):
        for k in counts:
            times[k].append(_run(options, root, k, min(k, cores)))
            tell(f"scaling {repeat + 1}: {k} processes, {times[k][-1]:.1f} s")
        for k, seconds in loops.items():
            seconds.append(_loop(k))
    figures = [
        _efficiency(f"{k} processes", k, min(k, cores), times, EFFICIENT if k == cores else None)
        for k in counts[1:]
    ]
    machine = "the machine itself: a loop of arithmetic on every core"
    scaled = {1: loops[1], cores: [seconds / cores for seconds in loops[cores]]}
    return [*figures, _efficiency(machine, cores, cores, scaled, None)]


def _efficiency(
    name: str, k: int, cores: int, times: dict[int, list[float]], target: Target | None
) -> Figure:
    pairs = zip(times[1], times[k], strict=True)
    return Figure(
        letter="e",
        name=f"efficiency, {name}",
        unit="",
        samples=tuple(one / (cores * many) for one, many in pairs),
        target=target,
        parts={"1 on a core s": tuple(times[1]), f"{k} on {cores} s": tuple(times[k])},
    )


def _run(options: Sequence[str], root: Path, processes: int, cores: int) -> float:
    """Wall seconds of the tests with so many processes on so many cores."""
    command = [sys.executable, "-m", "pytest", str(shipped("tests/labs")), "-q"]
    command += ["-p", "no:cacheprovider", "-n", str(processes), *options]
    begun = time.monotonic()
    done = _on(cores, command, root)
    seconds = time.monotonic() - begun
    if done.returncode:
        raise EngineError(
            f"the matrix is not green with {processes} processes",
            why=done.stdout[-2000:],
            fix="paritylab run",
        )
    return seconds


def _loop(processes: int) -> float:
    """Wall seconds of so many loops at once, as if each did its share of one loop's work."""
    begun = time.monotonic()
    running = [subprocess.Popen([sys.executable, "-c", _LOOP]) for _ in range(processes)]
    for process in running:
        process.wait()
    return time.monotonic() - begun


def _on(cores: int, command: Sequence[str], root: Path) -> subprocess.CompletedProcess[str]:
    """Run a command on the first of our cores; it hands them on to whatever it starts."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    pin = f"import os, sys\nos.sched_setaffinity(0, {allowed})\n"
    start = "os.execv(sys.argv[1], sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", pin + start, *command],
        cwd=root,
        env={**os.environ, "PARITYLAB_ROOT": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
