"""Speed as ratios from one run on one machine: warm against cold, the matrix against its floor.

Every figure is a median over repeats; times are seconds of wall time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paritylab.engines.base import Engine
from paritylab.errors import EngineError
from paritylab.fleet import LocalFleet
from paritylab.model import Cell, CellResult
from paritylab.runner import Settings, run_all, worker_keys
from paritylab.wire import Session

Tell = Callable[[str], None]
WARM_PASSES = 10  # a warm cell is short: each repeat times this many passes over the cells


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table: a ratio, what it compares, and its target.

    ``numerator`` and ``denominator`` are medians with their unit in ``unit``; ``spread`` is the
    largest distance of a repeat's ratio from the median ratio, relative.
    """

    name: str
    numerator: float
    denominator: float
    unit: str
    ratio: float
    spread: float
    target: str
    met: bool


def measure(
    cells: Sequence[Cell], engine: Engine, *, jobs: int, repeats: int, tell: Tell
) -> list[Figure]:
    """Measure the supported ``cells`` lab by lab and as a whole; every cell must be green.

    A lab whose programs compute little shows what a warm worker saves; the mix also what computing
    costs either way. Raises EngineError when a cell is red: a fast wrong answer is no figure.
    """
    runnable = [cell for cell in cells if not cell.unsupported]
    labs = sorted({cell.lab.slug for cell in runnable})
    groups = {lab: [cell for cell in runnable if cell.lab.slug == lab] for lab in labs}
    figures = []
    warm: dict[str, list[float]] = {lab: [] for lab in labs}
    cold: dict[str, list[float]] = {lab: [] for lab in labs}
    for _ in range(repeats):
        for lab, group in groups.items():
            warm[lab].append(_warm_seconds(group, engine, jobs, tell=tell))
            cold[lab].append(_cold_seconds(group, engine, jobs, tell=tell))
    for lab in labs:
        name = f"{lab}: fresh container per cell against warm"
        figures.append(_figure(name, cold[lab], warm[lab], unit="s/cell", least=20.0))
    mixed = [
        [
            sum(times[lab][i] * len(groups[lab]) for lab in labs) / len(runnable)
            for i in range(repeats)
        ]
        for times in (cold, warm)
    ]
    name = f"all {len(labs)} labs: fresh container per cell against warm"
    figures.append(_figure(name, *mixed, unit="s/cell", least=20.0))
    floor = [_floor(runnable, engine, jobs, tell=tell) for _ in range(repeats)]
    wall = [_wall(runnable, engine, jobs, tell=tell) for _ in range(repeats)]
    figures.append(_figure("whole matrix against its floor", wall, floor, unit="s", most=1.4))
    return figures


def _figure(  # noqa: PLR0913 - one fact each
    name: str,
    over: Sequence[float],
    under: Sequence[float],
    *,
    unit: str,
    least: float = 0.0,
    most: float = float("inf"),
) -> Figure:
    top, bottom = statistics.median(over), statistics.median(under)
    ratio = top / bottom
    spread = max(abs(a / b - ratio) / ratio for a, b in zip(over, under, strict=True))
    return Figure(
        name=name,
        numerator=top,
        denominator=bottom,
        unit=unit,
        ratio=ratio,
        spread=spread,
        target=f">= {least:g}x" if least else f"<= {most:g}x",
        met=least <= ratio <= most,
    )


def _warm_seconds(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """Wall seconds per cell once every worker is up and has answered each cell once."""
    with LocalFleet(engine) as fleet:
        many = list(cells) * WARM_PASSES
        _all_green(run_all(cells, engine, Settings(), jobs=jobs, fleet=fleet))
        begun = time.monotonic()
        _all_green(run_all(many, engine, Settings(), jobs=jobs, fleet=fleet))
        seconds = (time.monotonic() - begun) / len(many)
    tell(f"{cells[0].lab.slug}, warm: {seconds:.3f} s per cell")
    return seconds


def _cold_seconds(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """Wall seconds per cell with a fresh worker (and container) for each."""
    begun = time.monotonic()
    _all_green(run_all(cells, engine, Settings(cold=True), jobs=jobs))
    seconds = (time.monotonic() - begun) / len(cells)
    tell(f"{cells[0].lab.slug}, cold: {seconds:.3f} s per cell")
    return seconds


def _floor(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """(one import per worker + the cells' own computing, each measured alone) over the cores."""
    imports = compute = 0.0
    for key in worker_keys(cells, Settings().profile):
        endpoint = engine.start(key)
        try:
            with Session(engine.connect(endpoint)) as session:
                imports += session.hello.import_ms / 1000
        finally:
            engine.stop(endpoint)
    with LocalFleet(engine) as fleet:
        for result in _all_green(run_all(cells, engine, Settings(), jobs=1, fleet=fleet)):
            compute += result.worker_seconds
    tell(f"floor: imports {imports:.2f} s + computing {compute:.2f} s over {jobs} cores")
    return (imports + compute) / jobs


def _wall(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """Seconds for the whole matrix, from no worker to the last verdict."""
    begun = time.monotonic()
    _all_green(run_all(cells, engine, Settings(), jobs=jobs))
    seconds = time.monotonic() - begun
    tell(f"matrix: {seconds:.2f} s")
    return seconds


def _all_green(results: Sequence[CellResult]) -> Sequence[CellResult]:
    for result in results:
        if not result.verdict.green:
            raise EngineError(
                f"{result.cell} is {result.verdict}: {result.message}",
                why="a wrong answer has no speed",
                fix="paritylab run",
            )
    return results
