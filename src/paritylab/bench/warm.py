"""Figures (a) and (b): warm cells against what people do otherwise, the matrix against its floor.

``docker run`` per cell is a plain script in a fresh container (``plainrun``); ``--cold`` is our own
worker, started for one cell only. Seconds per cell are those that the cells took, over their
number and that of the jobs: what a long run comes to. The end of a run, when not every job has a
cell left, weighs differently in each of the three, and is in none of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar, cast

from paritylab.bench.model import Figure, Target, Tell, ratio
from paritylab.compare import compare
from paritylab.engines.base import Endpoint, Engine
from paritylab.engines.docker import DockerEngine
from paritylab.engines.dockerclient import open_client
from paritylab.errors import EngineError
from paritylab.fleet import LocalFleet
from paritylab.model import Cell, CellResult
from paritylab.plainrun import docker_run
from paritylab.runner import PROBLEMS, Runner, Settings, problem_of, run_all, worker_keys
from paritylab.turns import share_out
from paritylab.wire import Session

H = TypeVar("H")
T = TypeVar("T")
FASTER = Target(least=20)
FLOOR = Target(most=1.25)
WARM_PASSES = 10  # a warm cell is short: each repeat times this many passes over the cells


def warm_cells(
    cells: Sequence[Cell], engine: Engine, *, jobs: int, repeats: int, tell: Tell
) -> list[Figure]:
    """Measure the supported ``cells`` lab by lab and as a mix; every cell must be green.

    A lab whose programs compute little shows what a warm worker saves; the mix also what computing
    costs either way: the note tells the ratio that workers which cost nothing would reach. Raises
    EngineError when a cell is red: a fast wrong answer is no figure.
    """
    runnable = [cell for cell in cells if not cell.unsupported]
    labs = sorted({cell.lab.slug for cell in runnable})
    groups = {lab: [cell for cell in runnable if cell.lab.slug == lab] for lab in labs}
    ways = {"docker run": _plain_seconds} if engine.name == "docker" else {}
    ways["--cold"] = _cold_seconds
    named = ("warm", "computing", *ways)
    times: dict[str, dict[str, list[float]]] = {way: {lab: [] for lab in labs} for way in named}
    for _ in range(repeats):
        for lab, group in groups.items():
            seconds, computing = _warm_seconds(group, engine, jobs, tell=tell)
            times["warm"][lab].append(seconds)
            times["computing"][lab].append(computing)
            for way, measured in ways.items():
                times[way][lab].append(measured(group, engine, jobs, tell=tell))
    for by_lab in times.values():
        by_lab[f"all {len(labs)} labs"] = [
            sum(by_lab[lab][i] * len(groups[lab]) for lab in labs) / len(runnable)
            for i in range(repeats)
        ]
    return [_warm_figure(way, lab, times) for way in ways for lab in times[way]]


def _warm_figure(way: str, lab: str, times: dict[str, dict[str, list[float]]]) -> Figure:
    bound = statistics.median(times[way][lab]) / statistics.median(times["computing"][lab])
    return ratio(
        "a",
        f"{lab}: {way} per cell against warm",
        (f"{way} s", times[way][lab]),
        ("warm s", times["warm"][lab]),
        target=FASTER,
        note=f"at most {bound:.1f}x: the cells compute",
    )


def connections(cells: Sequence[Cell], engine: Engine, *, repeats: int) -> Figure:
    """Measure what it takes to be connected to a worker that is up.

    A run pays it once for each job and worker. Raises EngineError where there is no worker.
    """
    samples = []
    with LocalFleet(engine) as fleet:
        keys = worker_keys(cells, Settings().profile)
        fleet.prefetch(keys)
        for _ in range(repeats):
            samples.append(
                statistics.fmean(_connecting(engine, _up(fleet.endpoint(key))) for key in keys)
            )
    return Figure(
        letter="a",
        name="a connection to a warm worker",
        unit="s",
        samples=tuple(samples),
        note="one for each job and worker of a run, and in no warm cell above",
    )


def whole_matrix(
    cells: Sequence[Cell], engine: Engine, *, jobs: int, repeats: int, tell: Tell
) -> list[Figure]:
    """Measure the wall time of all supported ``cells``, in the order of a run, against its floor.

    The floor is one import of each framework per environment and the cells' own computing, divided
    by the cores. Inputs, oracles and expected values are in the wall time.
    """
    runnable = [cell for cell in cells if not cell.unsupported]
    floor, wall = [], []
    for _ in range(repeats):  # by turns: what else the machine does falls on both
        floor.append(_floor(runnable, engine, jobs, tell=tell))
        wall.append(_wall(runnable, engine, jobs, tell=tell))
    name = f"matrix of {len(runnable)} cells against its floor"
    return [ratio("b", name, ("matrix s", wall), ("floor s", floor), target=FLOOR)]


def _warm_seconds(
    cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell
) -> tuple[float, float]:
    """Seconds per cell once every job is connected to every worker and has had each cell once.

    Also returned: what of them the implementations themselves compute for.
    """
    with LocalFleet(engine) as fleet, ExitStack() as stack:
        runners = [stack.enter_context(Runner(engine, fleet, Settings())) for _ in range(jobs)]
        many = list(cells) * WARM_PASSES
        fleet.prefetch(worker_keys(many, Settings().profile))
        for runner in runners:
            _all_green([runner.run(cell) for cell in cells])
        results = _all_green(_each(many, runners, Runner.timed))
    seconds = _per_cell((result.seconds for result in results), jobs)
    computing = _per_cell((result.worker_seconds for result in results), jobs)
    tell(f"{cells[0].lab.slug}, warm: {seconds:.3f} s per cell, {computing:.3f} s computing")
    return seconds, computing


def _connecting(engine: Engine, endpoint: Endpoint) -> float:
    begun = time.monotonic()
    with Session(engine.connect(endpoint)):
        return time.monotonic() - begun


def _plain_seconds(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """Seconds per cell with a plain ``docker run`` for each; the answers are checked."""
    engine.prepare(worker_keys(cells, Settings().profile))
    images = cast(DockerEngine, engine).images

    def one(client: Any, cell: Cell) -> float:
        image = images[f"{cell.environment.name}-{cell.device}"]
        problem = problem_of(cell.lab, Settings())
        begun = time.monotonic()
        found = docker_run(client, image, cell, problem.inputs)
        seconds = time.monotonic() - begun
        report = compare(found, problem.expected[cell.implementation], cell.lab.outputs)
        if report.faults or report.divergences:
            raise EngineError(f"{cell.id}: the plain script's answer is wrong")
        return seconds

    seconds = _per_cell(_each(cells, [open_client() for _ in range(jobs)], one), jobs)
    tell(f"{cells[0].lab.slug}, docker run: {seconds:.3f} s per cell")
    return seconds


def _cold_seconds(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """Seconds per cell with a fresh worker (and container) for each."""
    results = _all_green(run_all(cells, engine, Settings(cold=True), jobs=jobs))
    seconds = _per_cell((result.seconds for result in results), jobs)
    tell(f"{cells[0].lab.slug}, cold: {seconds:.3f} s per cell")
    return seconds


def _each(cells: Sequence[Cell], hands: Sequence[H], do: Callable[[H, Cell], T]) -> list[T]:
    """What ``do`` gives for each cell, every hand in a thread of its own."""
    found: dict[int, T] = {}

    def one(hand: H, number: int) -> None:
        found[number] = do(hand, cells[number])

    share_out(len(cells), hands, one, stop=lambda: None)
    return [found[number] for number in range(len(cells))]


def _per_cell(busy: Iterable[float], jobs: int) -> float:
    return statistics.fmean(busy) / jobs


def _floor(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """(one import per framework and environment + the cells' computing, each alone) over cores."""
    keys = worker_keys(cells, Settings().profile)
    imports: dict[tuple[str, tuple[str, ...]], float] = {}
    compute = 0.0
    with LocalFleet(engine) as fleet:
        for key in keys:  # one at a time, and all before the first cell
            with Session(engine.connect(_up(fleet.endpoint(key)))) as session:
                seconds = session.hello.import_ms / 1000
            # An environment's second worker of a framework is our choice, and no part of a floor.
            name = (key.environment.name, key.preload)
            imports[name] = min(seconds, imports.get(name, seconds))
        for result in _all_green(run_all(cells, engine, Settings(), jobs=1, fleet=fleet)):
            compute += result.worker_seconds
    spent = sum(imports.values())
    tell(f"floor: imports {spent:.2f} s + computing {compute:.2f} s over {jobs} cores")
    return (spent + compute) / jobs


def _wall(cells: Sequence[Cell], engine: Engine, jobs: int, *, tell: Tell) -> float:
    """Seconds for the whole matrix, from no worker and no oracle to the last verdict."""
    PROBLEMS.clear()
    begun = time.monotonic()
    _all_green(run_all(cells, engine, Settings(), jobs=jobs))
    seconds = time.monotonic() - begun
    tell(f"matrix: {seconds:.2f} s")
    return seconds


def _up(endpoint: object) -> Endpoint:
    if not isinstance(endpoint, Endpoint):
        raise EngineError(f"there is no worker: {endpoint}", fix="paritylab doctor")
    return endpoint


def _all_green(results: Sequence[CellResult]) -> Sequence[CellResult]:
    for result in results:
        if not result.verdict.green:
            raise EngineError(
                f"{result.cell} is {result.verdict}: {result.message}",
                why="a wrong answer has no speed",
                fix="paritylab run",
            )
    return results
