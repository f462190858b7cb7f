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
WARM_PASSES = 5  # a warm cell is short: each repeat times this many passes over the cells


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
    """Measure both figures for the supported ``cells``; every cell must be green.

    Raises EngineError when one is not: a fast wrong answer is no figure.
    """
    runnable = [cell for cell in cells if not cell.unsupported]
    warm = [_warm_rate(runnable, engine, jobs, tell=tell) for _ in range(repeats)]
    cold = [_cold_rate(runnable, engine, jobs, tell=tell) for _ in range(repeats)]
    floor = [_floor(runnable, engine, jobs, tell=tell) for _ in range(repeats)]
    wall = [_wall(runnable, engine, jobs, tell=tell) for _ in range(repeats)]
    return [
        _figure("warm cells against a fresh worker each", warm, cold, unit="cells/s", least=20.0),
        _figure("whole matrix against its floor", wall, floor, unit="s", most=1.4),
    ]


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


def _warm_rate(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """Cells per second once every worker is up and has answered each cell once."""
    with LocalFleet(engine) as fleet:
        many = list(cells) * WARM_PASSES
        _all_green(run_all(cells, engine, Settings(), jobs=jobs, fleet=fleet))
        begun = time.monotonic()
        _all_green(run_all(many, engine, Settings(), jobs=jobs, fleet=fleet))
        rate = len(many) / (time.monotonic() - begun)
    tell(f"warm: {rate:.2f} cells/s")
    return rate


def _cold_rate(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """Cells per second with a fresh worker (and container) for each."""
    begun = time.monotonic()
    results = run_all(cells, engine, Settings(cold=True), jobs=jobs)
    rate = len(cells) / (time.monotonic() - begun)
    _all_green(results)
    tell(f"cold: {rate:.2f} cells/s")
    return rate


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
