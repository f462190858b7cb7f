"""What commands that run cells share: an engine that is stopped, a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from paritylab.cli.app import err
from paritylab.engines.base import Engine
from paritylab.gpupool import GpuPool
from paritylab.model import Cell, CellResult
from paritylab.plan import Options, gpus_for, open_engine
from paritylab.runner import worker_keys


@contextmanager
def engine_for(cells: list[Cell], options: Options) -> Iterator[Engine]:
    """Open the chosen engine, make what the cells need, and stop everything in the end."""
    with engine_and_gpus(cells, options) as (opened, _):
        yield opened


@contextmanager
def engine_and_gpus(cells: list[Cell], options: Options) -> Iterator[tuple[Engine, GpuPool | None]]:
    """The same with the GPUs, if the run needs any; a refusal comes before anything is made."""
    opened = open_engine(options)
    try:
        gpus = gpus_for(cells, options, opened)
        opened.prepare(worker_keys(cells, options.settings.profile))
        yield opened, gpus
    finally:
        opened.close()


@contextmanager
def progress_over(total: int | None) -> Iterator[Callable[[CellResult], None]]:
    """A progress bar on stderr; what it yields is to be called with each result."""
    columns = (
        TextColumn("[bold]cells"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("starting workers", total=total)

        def done(result: CellResult) -> None:
            progress.update(task, advance=1, description=f"{result.cell}: {result.verdict}")

        yield done
