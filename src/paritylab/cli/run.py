"""Commands that run cells."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from paritylab import report
from paritylab.accept import accept as accept_lab
from paritylab.calibrate import measure, spreads
from paritylab.cli.app import (
    Base,
    Device,
    EngineName,
    Environments,
    Implementations,
    Labs,
    Profile,
    app,
    err,
    out,
    selection,
)
from paritylab.engines.base import Engine
from paritylab.errors import EXIT_RED
from paritylab.model import PROFILES, Cell, CellResult, Verdict
from paritylab.mutants import hunt, read_mutants
from paritylab.plan import Options, cells_of, facts, open_engine
from paritylab.runner import Settings, run_all, worker_keys

MUTATION_SCORE = 0.95


@app.command()
def run(
    lab: Labs = None,
    implementation: Implementations = None,
    environment: Environments = None,
    device: Device = "cpu",
    engine: EngineName = "venv",
    base: Base = "auto",
    profile: Profile = "portable",
    seed: Annotated[
        int | None, typer.Option(help="Other inputs; judged by the oracle alone.")
    ] = None,
    cold: Annotated[bool, typer.Option("--cold", help="A fresh worker for every cell.")] = False,
    strict_bits: Annotated[
        bool, typer.Option("--strict-bits", help="A changed digest is red.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Cells at a time; default: cores.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="Write results.json here.")
    ] = None,
) -> None:
    """Run cells and print the matrix with verdicts.

    Examples: `paritylab run`, `paritylab run --lab train --environment tf2`,
    `paritylab run --engine docker --base bootstrap`, `paritylab run --engine here --device cuda`
    """
    options = Options(
        selection=selection(lab, implementation, environment, device),
        settings=Settings(profile=profile, seed=seed, cold=cold, strict_bits=strict_bits),
        engine=engine,
        base=base,
    )
    cells = cells_of(options)
    found, images = _run(cells, options, jobs)
    out.print(report.summary(found))
    if results:
        data = report.document(found, cells, {**facts(options), "images": images})
        report.write_json(results, data)
        out.print(f"results: {results}", style="dim")
    if not report.all_green(found):
        raise typer.Exit(EXIT_RED)


@contextmanager
def engine_for(cells: list[Cell], options: Options) -> Iterator[Engine]:
    """Open the chosen engine, make what the cells need, and stop everything in the end."""
    opened = open_engine(options)
    try:
        opened.prepare(worker_keys(cells, options.settings.profile))
        yield opened
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


def _run(
    cells: list[Cell], options: Options, jobs: int | None
) -> tuple[list[CellResult], dict[str, str]]:
    """Run the cells; return results and the images they ran in."""
    jobs = jobs or len(os.sched_getaffinity(0))
    with engine_for(cells, options) as opened, progress_over(len(cells)) as done:
        found = run_all(cells, opened, options.settings, jobs=jobs, done=done)
        return found, dict(getattr(opened, "images", {}))


@app.command()
def accept(
    lab: Labs = None,
    engine: EngineName = "venv",
    base: Base = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the diff, write nothing.")] = (
        False
    ),
) -> None:
    """Rewrite expected.json from the float64 oracle, if every implementation agrees with it.

    Prints the diff. Refuses (exit 1, nothing written for that lab) while a cell disagrees.
    """
    options = Options(
        selection=selection(lab, None, None, "cpu"),
        settings=Settings(oracle_only=True),
        engine=engine,
        base=base,
    )
    cells = cells_of(options)
    results, _ = _run(cells, options, None)
    refused = False
    for one in {cell.lab.slug: cell.lab for cell in cells}.values():
        acceptance = accept_lab(one, cells, results)
        if acceptance.refused:
            refused = True
            err.print(f"{one.slug}: refused, expected.json stays as it was", style="bold red")
            for line in acceptance.refused:
                err.print(f"  {line}", markup=False)
            continue
        out.print(f"{one.slug}: {len(acceptance.diff) or 'no'} lines of difference", style="bold")
        for line in acceptance.diff[:60]:
            out.print(f"  {line[:160]}", markup=False, highlight=False, soft_wrap=True)
        if not dry_run:
            acceptance.write()
    _tell_gaps(results)
    if refused:
        raise typer.Exit(EXIT_RED)


def _tell_gaps(results: list[CellResult]) -> None:
    gaps = [r for r in results if r.verdict is Verdict.UNSUPPORTED]
    for message in sorted({f"{r.environment}: {r.message}" for r in gaps}):
        err.print(f"not run: {message}", style="dim", markup=False)


@app.command()
def calibrate(
    lab: Annotated[str, typer.Argument(help="The lab's name.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 5,
    environment: Environments = None,
    engine: EngineName = "venv",
    base: Base = "auto",
) -> None:
    """Measure a lab's spread over seeds, environments and profiles, and the tolerance it earns.

    `native` lets the frameworks use every thread and instruction set, so the two profiles span
    what a reader's machine may do. A tolerance is best at 5 times the spread (20% in use).
    """
    options = Options(
        selection=selection([lab], None, environment, "cpu"), engine=engine, base=base
    )
    cells = cells_of(options)
    with engine_for(cells, options) as opened, progress_over(len(cells) * seeds * 2) as done:
        found = measure(cells, opened, seeds=range(seeds), profiles=PROFILES, done=done)
    table = Table(title=f"{lab}: {seeds} seeds, profiles {' and '.join(PROFILES)}")
    for heading in (
        "output",
        "max error",
        "max ULP",
        "in use",
        "where",
        "advice",
        "5x: rtol",
        "atol",
    ):
        table.add_column(heading)
    for spread in spreads(cells[0].lab.outputs.values(), found):
        table.add_row(
            spread.output,
            f"{spread.error:.2e}",
            "" if spread.ulp is None else f"{spread.ulp:,}",
            f"{spread.used:.0%}",
            spread.where,
            spread.advice,
            f"{spread.rtol:.1e}",
            f"{spread.atol:.1e}",
        )
    out.print(table)
    red = [result for _, result in found if not result.verdict.green]
    for result in red:
        err.print(f"{result.cell}: {result.verdict}: {result.message}", style="red", markup=False)
    if red:
        raise typer.Exit(EXIT_RED)


@app.command()
def mutants(
    lab: Labs = None,
    implementation: Implementations = None,
    environment: Environments = None,
    engine: EngineName = "venv",
    base: Base = "auto",
) -> None:
    """Plant the faults of labs/*/mutants.toml one by one; each must turn its cells red.

    Prints the score. Exit 1 while fewer than 95% are caught.
    """
    options = Options(
        selection=selection(lab, implementation, environment, "cpu"), engine=engine, base=base
    )
    cells = cells_of(options)
    labs = {cell.lab.slug: cell.lab for cell in cells}.values()
    wanted = {cell.implementation for cell in cells}
    planted = [m for one in labs for m in read_mutants(one) if m.implementation in wanted]
    with (
        engine_for(cells, options) as opened,
        progress_over(None) as done,
        TemporaryDirectory() as folder,
    ):
        outcomes = hunt(planted, cells, opened, folder=Path(folder), done=done)
    table = Table("mutant", "caught", "what was said")
    for outcome in outcomes:
        said = next((f"{r.verdict}: {r.message}" for r in outcome.results if r.message), "")
        table.add_row(outcome.mutant.id, "yes" if outcome.caught else "NO", said[:90])
    out.print(table)
    caught = sum(outcome.caught for outcome in outcomes)
    score = caught / len(outcomes) if outcomes else 0.0
    out.print(f"mutation score: {caught} of {len(outcomes)} caught ({score:.1%})", style="bold")
    if score < MUTATION_SCORE:
        raise typer.Exit(EXIT_RED)
