"""Figure (g): what a cell costs in a matrix of 10, 100, 1,000 and 10,000 cells.

Every stage is a process of its own, whose peak of memory is seen from outside (``wait4``); its
seconds begin when all is imported. The cost of a cell is what a matrix takes more than the smallest
one, over the cells that it has more: what is the same for all sizes is not in it. The stages:

- ``collection``: ``pytest --collect-only`` over the project: catalog, matrix, a test per cell;
- ``scheduling``: every cell run for real (inputs, a fork of a warm worker, verdict) by
  ``runner.run_all`` with a job per core; the worker has NumPy alone and the cells compute nothing;
- ``reporting``: from the results in memory to results.json, JUnit XML, the page, the terminal's
  matrix, and results.json read back.
"""

from __future__ import annotations

import importlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from paritylab.bench.model import Figure, Target, Tell
from paritylab.bench.project import write_project
from paritylab.errors import EngineError

Work = Callable[[], object]
"""What a stage does while its clock runs."""
SIZES = (10, 100, 1_000, 10_000)
FLAT = Target(most=1.2)
_HERE = "paritylab.bench"
STAGES = {
    "collection": (f"{_HERE}.collecting", "process_time", 7),
    "scheduling": (f"{_HERE}.stages", "monotonic", 1),
    "reporting": (f"{_HERE}.stages", "process_time", 7),
}
"""Of each stage its module, its clock and how often it is run for one sample.

CPU time where the process does the work alone: what else the machine does is not in it. The least
counts, and of many runs: where the machine's speed swings, one of seconds has them all in it while
one of a twentieth of a second finds its best.
"""
# A process starts with the peak of the one that forked it, so a small one stands between: in ours
# a peak below our own memory would not be seen.
_WATCH = """\
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as told:
    print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, file=told)
"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a stage took: seconds of its clock, and its largest resident set in MiB."""

    seconds: float
    peak: float


def growth(*, repeats: int, tell: Tell, sizes: Sequence[int] = SIZES) -> list[Figure]:
    """Measure every stage at every size; raises EngineError when a stage fails."""
    costs: dict[str, dict[int, list[Cost]]] = {stage: {n: [] for n in sizes} for stage in STAGES}
    with TemporaryDirectory(prefix="paritylab-bench-") as name:
        projects = {n: write_project(Path(name) / str(n), n) for n in sizes}
        for repeat in range(repeats):
            for stage, (*_, runs) in STAGES.items():
                # By turns: a machine that grows faster or slower does so for all sizes.
                rounds = [
                    {n: _measured(stage, n, project) for n, project in projects.items()}
                    for _ in range(runs)
                ]
                for n in sizes:
                    cost = least(one[n] for one in rounds)
                    costs[stage][n].append(cost)
                    took = f"{cost.seconds:.2f} s, {cost.peak:.0f} MiB"
                    tell(f"{stage} {repeat + 1}: {n:,} cells, {took}")
    return [figure for stage in STAGES for figure in _figures(stage, costs[stage])]


def least(runs: Iterable[Cost]) -> Cost:
    """What several runs of the same took: the least time, for others can only add to it."""
    found = tuple(runs)
    return Cost(seconds=min(c.seconds for c in found), peak=max(c.peak for c in found))


def run(module: str, stage: str, clock: str, count: int, told: str) -> None:
    """Do ``module.stage`` for a project of so many cells; write its seconds to the file ``told``.

    The imports, and what the stage prepares, are done before the clock starts: one of ``time``.
    """
    work: Work = getattr(importlib.import_module(module), stage)(count)
    now: Callable[[], float] = getattr(time, clock)
    begun = now()
    work()
    Path(told).write_text(str(now() - begun))


def _measured(stage: str, count: int, project: Path) -> Cost:
    told = project / "seconds.txt"
    module, clock, _ = STAGES[stage]
    call = f"from paritylab.bench.growth import run; run{module, stage, clock, count, str(told)}"
    peak = peak_of([sys.executable, "-B", "-c", call], project)
    return Cost(seconds=float(told.read_text()), peak=peak)


def peak_of(command: Sequence[str], project: Path) -> float:
    """Run a command for a project to its end: MiB at most; raises EngineError when it fails."""
    environment = {**os.environ, "PARITYLAB_ROOT": str(project)}
    told = project / "told.txt"
    watched = [sys.executable, "-I", "-S", "-c", _WATCH, str(told), *command]
    with (project / "said.txt").open("w+b") as said:
        process = subprocess.Popen(
            watched, cwd=project, env=environment, stdout=said, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        status, peak = map(int, told.read_text().split())
        if status:
            said.seek(0)
            words = said.read()[-2000:].decode("utf-8", "replace")
            raise EngineError(f"{' '.join(command)[:200]} failed", why=words)
    return peak / 1024


def _figures(stage: str, costs: dict[int, list[Cost]]) -> list[Figure]:
    """The cost of a cell at the largest size over that at the one before, and the memory's growth.

    The parts tell the milliseconds per cell at every size, the process itself left out.
    """
    sizes = sorted(costs)
    first, largest = sizes[0], sizes[-1]

    def per_cell(n: int, fact: str) -> tuple[float, ...]:
        pairs = zip(costs[n], costs[first], strict=True)
        return tuple((getattr(a, fact) - getattr(b, fact)) / (n - first) for a, b in pairs)

    milliseconds = {n: tuple(1000 * s for s in per_cell(n, "seconds")) for n in sizes[1:]}
    before = sizes[-2]
    pairs = zip(milliseconds[largest], milliseconds[before], strict=True)
    peaks = {n: tuple(cost.peak for cost in costs[n]) for n in sizes}
    time_per_cell = Figure(
        letter="g",
        name=f"{stage}: time per cell, {largest:,} cells against {before:,}",
        unit="x",
        # No cost at all is noise: it must not pass for flat.
        samples=tuple(a / b if min(a, b) > 0 else math.inf for a, b in pairs),
        target=FLAT,
        parts={f"at {n:,} ms": values for n, values in milliseconds.items()},
        raw={f"{n:,} cells s": tuple(cost.seconds for cost in costs[n]) for n in sizes},
    )
    memory = Figure(
        letter="g",
        name=f"{stage}: peak memory, {largest:,} cells against {first:,}",
        unit="x",
        samples=tuple(a / b for a, b in zip(peaks[largest], peaks[first], strict=True)),
        target=FLAT,
        parts={
            **{f"{n:,} cells MiB": values for n, values in peaks.items()},
            "KiB per cell": tuple(1024 * m for m in per_cell(largest, "peak")),
        },
    )
    return [time_per_cell, memory]
