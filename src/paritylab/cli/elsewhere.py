"""What commands share that may run on a cluster: the desk, opened only where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from paritylab.errands import Desk
from paritylab.errors import UsageError
from paritylab.grade.plan import Plan
from paritylab.grade.request import DeskOf, Request
from paritylab.model import Cell, CellResult
from paritylab.plan import Options

if TYPE_CHECKING:
    from paritylab.cluster.desk import DaskDesk


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """``--cluster`` and ``--cluster-settings``."""

    cluster: str
    file: Path | None = None


def elsewhere(
    cluster: str | None, file: Path | None, *, jobs: int | None = None
) -> Elsewhere | None:
    """Return where a command is to run, None for here; raises UsageError."""
    if cluster is not None and jobs:
        raise UsageError(
            "--jobs is for this machine",
            why="a cluster runs as many as its workers have threads",
            fix="leave --jobs out; on a host: paritylab join --threads",
        )
    if cluster is not None:
        return Elsewhere(cluster=cluster, file=file)
    if file:
        raise UsageError("--cluster-settings is for --cluster", fix="--cluster slurm")
    return None


@contextmanager
def desk_of(where: Elsewhere, cells: Sequence[Cell], options: Options) -> Iterator[DaskDesk]:
    """Open the cluster for these cells; raises UsageError where Dask is not installed."""
    with module("cells").open_desk(where.cluster, cells, options, file=where.file) as desk:
        yield desk


def run_there(
    cells: Sequence[Cell], desk: DaskDesk, options: Options, done: Callable[[CellResult], None]
) -> list[CellResult]:
    """Run the cells on the desk's hosts; see cluster.cells."""
    found: list[CellResult] = module("cells").run_cells(cells, desk, options.settings, done=done)
    return found


def grading_desk(where: Elsewhere | None, request: Request) -> DeskOf | None:
    """Return what opens the cluster for a grading run, None where it is to be here."""
    if where is None:
        return None

    @contextmanager
    def opened(plan: Plan) -> Iterator[Desk]:
        wanted = module("grading").wanted_for(plan, request)
        with module("opening").opened(where.cluster, wanted, file=where.file) as desk:
            yield desk

    return opened


@contextmanager
def auditing_desk(
    where: Elsewhere | None, cells: Sequence[Cell], options: Options
) -> Iterator[Desk | None]:
    """Open the cluster for an audit of these cells; None where it is to be here."""
    if where is None:
        yield None
        return
    wanted = module("cells").wanted_for(cells, options, use="audit")
    with module("opening").opened(where.cluster, wanted, file=where.file) as desk:
        yield desk


def module(name: str) -> ModuleType:
    """Return a module of paritylab.cluster; raises UsageError where Dask is not installed."""
    try:
        # Dask takes a second to import: only those wait who asked for it.
        return import_module(f"paritylab.cluster.{name}")
    except ModuleNotFoundError as fault:
        raise UsageError(
            f"a cluster needs the package {fault.name}",
            fix="pip install 'paritylab[cluster]' (in a checkout: pip install -e '.[cluster]')",
        ) from None
