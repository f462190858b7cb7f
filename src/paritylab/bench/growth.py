"""Figure (g): what a cell costs in a matrix of 10, 100, 1,000 and 10,000 cells.

Every stage is a process of its own, timed from outside with its peak of memory (``wait4``): what
starts and ends with the process is the same for all sizes, so the cost of a cell is what a matrix
takes more than the smallest one, over the cells that it has more. The stages:

- ``collection``: ``pytest --collect-only`` over the project: catalog, matrix, a test per cell;
- ``scheduling``: every cell run for real (inputs, a fork of a warm worker, verdict) by
  ``runner.run_all`` with a job per core; the worker has NumPy alone and the cells compute nothing;
- ``reporting``: from the results in memory to results.json, JUnit XML, the page, the terminal's
  matrix, and results.json read back.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from paritylab.bench.model import Figure, Target, Tell
from paritylab.bench.project import IMPLEMENTATIONS, write_project
from paritylab.errors import EngineError
from paritylab.shipped import shipped

SIZES = (10, 100, 1_000, 10_000)
FLAT = Target(most=1.2)
STAGES = {"collection": 3, "scheduling": 1, "reporting": 3}
"""How often each is run for one sample, of which the least seconds count.

Where 1,000 cells take a tenth of a second more than ten, and the process two seconds to start, the
start's own ups and downs are all that a single run shows.
"""
# A process starts with the peak of the one that forked it, so a small one stands between: in ours
# a peak below our own memory would not be seen.
_WATCH = """\
import os, subprocess, sys, time
begun = time.monotonic()
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as told:
    print(os.waitstatus_to_exitcode(status), time.monotonic() - begun, usage.ru_maxrss, file=told)
"""
_CALL = "from paritylab.bench import stages; stages.{stage}({count})"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a process took: seconds of wall time, and its largest resident set in MiB."""

    seconds: float
    peak: float


def growth(*, repeats: int, tell: Tell, sizes: Sequence[int] = SIZES) -> list[Figure]:
    """Measure every stage at every size; raises EngineError when a stage fails."""
    costs: dict[str, dict[int, list[Cost]]] = {stage: {n: [] for n in sizes} for stage in STAGES}
    with TemporaryDirectory(prefix="paritylab-bench-") as name:
        projects = {n: write_project(Path(name) / str(n), n) for n in sizes}
        for repeat in range(repeats):
            for stage, runs in STAGES.items():
                for n, project in projects.items():
                    cost = least(_measured(stage, n, project) for _ in range(runs))
                    costs[stage][n].append(cost)
                    took = f"{cost.seconds:.2f} s, {cost.peak:.0f} MiB"
                    tell(f"{stage} {repeat + 1}: {n:,} cells, {took}")
    return [figure for stage in STAGES for figure in _figures(stage, costs[stage])]


def least(runs: Iterable[Cost]) -> Cost:
    """What several runs of the same took: the least time, for others can only add to it."""
    found = tuple(runs)
    return Cost(seconds=min(c.seconds for c in found), peak=max(c.peak for c in found))


def _measured(stage: str, count: int, project: Path) -> Cost:
    python = [sys.executable, "-B"]
    command = [*python, "-c", _CALL.format(stage=stage, count=count)]
    if stage == "collection":
        tests = str(shipped("tests/labs"))
        command = [*python, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", tests]
        command += [f"--implementation={name}" for name in IMPLEMENTATIONS]
    return timed(command, project)


def timed(command: Sequence[str], project: Path) -> Cost:
    """Run a command for a project to its end; raises EngineError when it fails."""
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
        status, seconds, peak = map(float, told.read_text().split())
        if status:
            said.seek(0)
            words = said.read()[-2000:].decode("utf-8", "replace")
            raise EngineError(f"{' '.join(command)[:200]} failed", why=words)
    return Cost(seconds=seconds, peak=peak / 1024)


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
