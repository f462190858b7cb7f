"""Cells by way of a desk: what ``runner.run_all`` does on one machine."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

from paritylab import bases, catalog, images
from paritylab.cluster import kits, settings
from paritylab.cluster.desk import DaskDesk
from paritylab.cluster.link import Link
from paritylab.cluster.schedulers import open_scheduler
from paritylab.cluster.site import Manifest
from paritylab.errands import Desk, Errand, Report
from paritylab.errors import LabError, UsageError
from paritylab.model import Cell, CellResult
from paritylab.plan import Options
from paritylab.progress import Display
from paritylab.runner import Settings, concluded, failed, job_of, left_out, problem_of, wants_gpu

BATCH = 16
"""Cells that go together at most: what a host that dies costs, and what shares a warm worker."""


@contextmanager
def open_desk(
    cluster: str, cells: Sequence[Cell], options: Options, *, file: Path | None = None,
    use: str = "cells",
) -> Iterator[DaskDesk]:  # fmt: skip
    """Open the cluster that ``--cluster`` names for these cells; nothing is left of it.

    ``file`` is the cluster.toml, ``use`` what its hosts are for (see site.Manifest). Raises
    UsageError, CatalogError or EngineError.
    """
    if options.gpus:
        raise UsageError(
            "--gpus chooses GPUs of this machine, --cluster others", fix="leave out one"
        )
    chosen = settings.read(file, options.root or catalog.find_root())
    runs = {cell.environment.name: cell.environment for cell in cells if not cell.unsupported}
    manifest = Manifest(
        run=secrets.token_hex(8), engine=options.engine, base=options.base, use=use,
        cold=options.settings.cold, kit=kits.pack(runs.values()),
        tags=_tags(cells, options), images=chosen.images.model_dump(),
    )  # fmt: skip
    gpus = any(wants_gpu(cell, options.settings) for cell in cells)
    with ExitStack() as stack:
        scheduler = stack.enter_context(open_scheduler(cluster, chosen, gpus=gpus))
        link = Link(scheduler, manifest, chosen.patience)
        yield stack.enter_context(DaskDesk(link))


def _tags(cells: Sequence[Cell], options: Options) -> dict[str, str]:
    """The names of the images that the cells need; what cannot be told here, hosts find out."""
    if options.engine != "docker":
        return {}
    found = {}
    stacks = {(c.environment.name, c.device): c.environment for c in cells if not c.unsupported}
    with Display() as progress:
        for (name, device), environment in stacks.items():
            with suppress(LabError):
                base = bases.identify(environment, device, mode=options.base, progress=progress)
                found[f"{name}-{device}"] = images.tag(environment, device, base)
    return found


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
