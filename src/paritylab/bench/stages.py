"""Figure (g)'s scheduling and reporting: what is run in a process of its own; see ``growth``."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from paritylab import catalog, report
from paritylab import results as results_file
from paritylab.bench.growth import Work
from paritylab.bench.project import IMPLEMENTATIONS
from paritylab.engines.here import HereEngine
from paritylab.errors import EngineError
from paritylab.html import write
from paritylab.html.report import pieces
from paritylab.junit import junit
from paritylab.matrix import Selection, cells
from paritylab.model import Cell, CellResult
from paritylab.runner import Settings, run_all


def scheduling(count: int) -> Work:
    """Run every cell of the project at hand, which are green."""
    chosen, jobs = _runnable(count), len(os.sched_getaffinity(0))

    def work() -> None:
        with HereEngine() as engine:
            found = run_all(chosen, engine, Settings(), jobs=jobs)
        red = next((one for one in found if not one.verdict.green), None)
        if red:
            raise EngineError(f"{red.cell}: {red.verdict}: {red.message}")

    return work


def reporting(count: int) -> Work:
    """Write and read back the reports of a run of so many cells, made from one that ran."""
    chosen = _runnable(count)
    with HereEngine() as engine:
        (one,) = run_all(chosen[:1], engine, Settings(), jobs=1)

    def work() -> None:
        with TemporaryDirectory(dir=".") as name:  # the benchmark's own: it goes with that
            folder = Path(name)
            _written([_as(one, cell) for cell in chosen], chosen, folder)
            read = results_file.read(folder / "results.json")
            write(folder / "report.html", pieces(read))
            if len(read.cells) != count:
                raise EngineError(f"{len(read.cells)} of {count} cells came back")

    return work


def _written(found: list[CellResult], chosen: list[Cell], folder: Path) -> None:
    """What the end of a run writes; gone from memory when `paritylab report` reads it."""
    data = report.document(found, chosen, {"engine": "here"})
    report.write_json(folder / "results.json", data)
    write(folder / "junit.xml", junit(found, created=data["created"]))
    report.show(Console(file=io.StringIO(), width=200), found)


def _runnable(count: int) -> list[Cell]:
    found = cells(catalog.load(catalog.find_root()), Selection(implementations=IMPLEMENTATIONS))
    if len(found) != count:
        raise EngineError(f"the project has {len(found)} cells, not {count}")
    return found


def _as(result: CellResult, cell: Cell) -> CellResult:
    return replace(
        result,
        cell=cell.id,
        lab=cell.lab.slug,
        implementation=cell.implementation,
        environment=cell.environment.name,
    )
