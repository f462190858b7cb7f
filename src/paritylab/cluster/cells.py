"""Cells by way of a desk: what ``runner.run_all`` does on one machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

from paritylab import catalog
from paritylab.cluster.desk import DaskDesk
from paritylab.cluster.opening import Wanted, opened
from paritylab.errands import Desk, Errand, Report
from paritylab.errors import LabError, UsageError
from paritylab.model import Cell, CellResult
from paritylab.plan import Options
from paritylab.runner import Settings, concluded, failed, job_of, left_out, problem_of, wants_gpu

BATCH = 16
"""Cells that go together at most: what a host that dies costs, and what shares a warm worker."""


def wanted_for(cells: Sequence[Cell], options: Options, *, use: str = "cells") -> Wanted:
    """What a cluster is to have for these cells; raises UsageError."""
    if options.gpus:
        why = "--gpus chooses among the GPUs of this machine"
        raise UsageError("--cluster does not go with --gpus", why=why, fix="leave out one")
    able = [cell for cell in cells if not cell.unsupported]
    return Wanted(
        stacks={(cell.environment.name, cell.device): cell.environment for cell in able},
        root=options.root or catalog.find_root(),
        engine=options.engine,
        base=options.base,
        use=use,
        cold=options.settings.cold,
        gpus=any(wants_gpu(cell, options.settings) for cell in cells),
    )


@contextmanager
def open_desk(
    cluster: str, cells: Sequence[Cell], options: Options, *, file: Path | None = None
) -> Iterator[DaskDesk]:
    """Open the cluster that ``--cluster`` names for these cells; see opening.opened."""
    with opened(cluster, wanted_for(cells, options), file=file) as desk:
        yield desk


def run_cells(
    cells: Sequence[Cell],
    desk: Desk,
    options: Settings,
    *,
    done: Callable[[CellResult], None] = lambda _: None,
) -> list[CellResult]:
    """Run cells on a desk's hosts; return results in the cells' order, judged on this machine.

    ``done`` is called with each as it comes. Raises EngineError when no host could run anything.
    """
    found: dict[str, CellResult] = {}
    faults: list[LabError] = []

    def keep(result: CellResult) -> None:
        found[result.cell] = result
        done(result)

    by_id = {cell.id: cell for cell in cells}
    for report in desk.reports(_batches(cells, desk, options, keep)):
        if isinstance(report.answer, LabError) and (report.elsewhere or not report.host):
            faults.append(report.answer)
        keep(_judged(by_id[report.id], report, options))
    if faults and len(faults) == sum(not cell.unsupported for cell in cells):
        raise faults[0]
    return [found[cell.id] for cell in cells]


def _batches(
    cells: Sequence[Cell], desk: Desk, options: Settings, keep: Callable[[CellResult], None]
) -> Iterator[tuple[Errand, ...]]:
    """Errands of one worker key each; cells that need no run are kept at once."""
    able: list[Cell] = []
    for cell in cells:
        if cell.unsupported:
            keep(left_out(cell, options, cell.unsupported))
        else:
            able.append(cell)
    size = batch_size(len(able), desk.places)
    for _, group in groupby(able, key=lambda cell: cell.worker_key(options.profile).name):
        while some := list(islice(group, size)):
            errands = []
            for cell in some:
                try:
                    errands.append(_errand(cell, options))
                except LabError as fault:
                    keep(failed(cell, options, fault))
            if errands:
                yield tuple(errands)


def batch_size(cells: int, places: int) -> int:
    """How many cells go together: every place has something to do, twice over."""
    return max(1, min(BATCH, math.ceil(cells / (2 * places))))


def _errand(cell: Cell, options: Settings) -> Errand:
    job = job_of(cell, problem_of(cell.lab, options), options)
    key = cell.worker_key(options.profile)
    return Errand(id=cell.id, key=key, job=job, on_gpu=wants_gpu(cell, options))


def _judged(cell: Cell, report: Report, options: Settings) -> CellResult:
    result = concluded(cell, options, problem_of(cell.lab, options), report.executed)
    return replace(result, seconds=report.seconds)
