"""What commands that run cells share: an engine that is stopped, a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paritylab.engines.base import Engine
from paritylab.gpupool import GpuPool
from paritylab.model import Cell, CellResult
from paritylab.plan import Options, gpus_for, open_engine
from paritylab.progress import Display
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
def progress_over(total: int) -> Iterator[Callable[[CellResult], None]]:
    """Show how many of ``total`` cells have ended; to be called with each result."""
    with Display() as display:
        task = display.add_task("cells", total=total, last="waiting for the first")

        def done(result: CellResult) -> None:
            display.update(task, advance=1, last=f"{result.cell}: {result.verdict}")

        yield done
