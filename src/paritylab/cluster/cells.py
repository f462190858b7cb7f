"""Cells by way of a desk: what ``runner.run_all`` does on one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from paritylab import catalog
from paritylab.cluster.desk import DaskDesk
from paritylab.cluster.opening import Wanted, opened
from paritylab.errands import Desk, Errand, Report, batch_size, batches
from paritylab.errors import LabError, UsageError
from paritylab.model import Cell, CellResult
from paritylab.plan import Options
from paritylab.runner import Settings, concluded, failed, job_of, left_out, problem_of, wants_gpu


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
    yield from batches(_errands(able, options, keep), lambda: batch_size(len(able), desk.places))


def _errands(
    cells: Sequence[Cell], options: Settings, keep: Callable[[CellResult], None]
) -> Iterator[Errand]:
    for cell in cells:
        try:
            yield _errand(cell, options)
        except LabError as fault:
            keep(failed(cell, options, fault))


def _errand(cell: Cell, options: Settings) -> Errand:
    job = job_of(cell, problem_of(cell.lab, options), options)
    key = cell.worker_key(options.profile)
    on_gpu = wants_gpu(cell, options)
    return Errand(id=cell.id, key=key, job=job, on_gpu=on_gpu, cold=options.cold)


def _judged(cell: Cell, report: Report, options: Settings) -> CellResult:
    result = concluded(cell, options, problem_of(cell.lab, options), report.executed)
    return replace(result, seconds=report.seconds)
