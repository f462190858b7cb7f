"""Commands that measure: spread, planted faults, speed."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from paritylab import report
from paritylab.bench import Figure
from paritylab.bench import measure as measure_speed
from paritylab.calibrate import Spread, measure, spreads
from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.cli.live import engine_for, progress_over
from paritylab.errors import EXIT_RED, EngineError
from paritylab.hardware import cpu_model
from paritylab.model import PROFILES, Verdict
from paritylab.mutants import hunt, read_mutants, runs
from paritylab.plan import Options, cells_of, facts

MUTATION_SCORE = 0.95


@app.command()
def calibrate(
    lab: Annotated[str, typer.Argument(help="The lab's name.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 5,
    environment: opt.Environments = None,
    engine: opt.EngineName = "venv",
    base: opt.Base = "auto",
) -> None:
    """Measure a lab's spread over seeds, environments and profiles, and the tolerance it earns.

    `native` lets the frameworks use every thread and instruction set, so the two profiles span
    what a reader's machine may do. A tolerance is best at 5 times the spread (20% in use).

    Example: `paritylab calibrate train --seeds 3`
    """
    options = Options(
        selection=opt.selection([lab], None, environment, "cpu"), engine=engine, base=base
    )
    cells = cells_of(options)
    with engine_for(cells, options) as opened, progress_over(len(cells) * seeds * 2) as done:
        found = measure(cells, opened, seeds=range(seeds), profiles=PROFILES, done=done)
    if not found:
        raise EngineError(f"no cell of {lab} ran here", fix=f"paritylab matrix --lab {lab}")
    title = f"{lab}: {seeds} seeds, profiles {' and '.join(PROFILES)}"
    measured = spreads(cells[0].lab.outputs.values(), found)
    out.print(_spread_table(measured, title))
    red = [result for _, result in found if not result.verdict.green]
    for result in red:
        err.print(f"{result.cell}: {result.verdict}: {result.message}", style="red", markup=False)
    if red:
        raise typer.Exit(EXIT_RED)


@app.command()
def mutants(
    lab: opt.Labs = None,
    implementation: opt.Implementations = None,
    environment: opt.Environments = None,
    engine: opt.EngineName = "venv",
    base: opt.Base = "auto",
) -> None:
    """Plant the faults of labs/*/mutants.toml one by one; each must turn its cells red.

    Prints the score. Exit 1 while fewer than 95% are caught.

    Example: `paritylab mutants --lab train --environment tf2`
    """
    options = Options(
        selection=opt.selection(lab, implementation, environment, "cpu"), engine=engine, base=base
    )
    cells = cells_of(options)
    labs = {cell.lab.slug: cell.lab for cell in cells}.values()
    wanted = {cell.implementation for cell in cells}
    planted = [m for one in labs for m in read_mutants(one) if m.implementation in wanted]
    with (
        engine_for(cells, options) as opened,
        progress_over(runs(planted, cells)) as done,
        TemporaryDirectory() as folder,
    ):
        outcomes = hunt(planted, cells, opened, folder=Path(folder), done=done)
    table = Table("mutant", "caught", "what was said")
    for outcome in outcomes:
        ran = [r for r in outcome.results if r.verdict is not Verdict.UNSUPPORTED]
        # The cell that proves the verdict: a red one if caught, else the one that stayed green.
        proof = next((r for r in ran if r.verdict.green is not outcome.caught), None)
        said = f"{proof.verdict} on {proof.environment}: {proof.message}" if proof else ""
        table.add_row(
            escape(outcome.mutant.id), "yes" if outcome.caught else "NO", escape(said[:90])
        )
    out.print(table)
    caught = sum(outcome.caught for outcome in outcomes)
    score = caught / len(outcomes) if outcomes else 0.0
    out.print(f"mutation score: {caught} of {len(outcomes)} caught ({score:.1%})", style="bold")
    if score < MUTATION_SCORE:
        raise typer.Exit(EXIT_RED)


@app.command()
def bench(
    lab: opt.Labs = None,
    environment: opt.Environments = None,
    engine: opt.EngineName = "docker",
    base: opt.Base = "auto",
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; medians are shown.")] = 3,
    results: Annotated[Path | None, typer.Option("--results", help="Write JSON here.")] = None,
) -> None:
    """Measure warm cells against `docker run` per cell, and the matrix against its floor.

    Prints ratios from this one run on this one machine; minutes, not seconds. `at most` is the
    ratio that workers which cost nothing would reach: what the cells compute takes its time.

    Example: `paritylab bench --lab train --engine venv`
    """
    options = Options(
        selection=opt.selection(lab, None, environment, "cpu"), engine=engine, base=base
    )
    cells = cells_of(options)
    jobs = len(os.sched_getaffinity(0))
    with engine_for(cells, options) as opened:
        figures = measure_speed(cells, opened, jobs=jobs, repeats=repeats, tell=err.print)
    title = f"{engine}, {jobs} cores, {repeats} repeats, {cpu_model()}"
    out.print(_speed_table(figures, title))
    if results:
        data = {"host": report.host(), "run": facts(options), "figures": figures}
        report.write_json(results, data)


def _speed_table(figures: list[Figure], title: str) -> Table:
    table = Table(title=title)
    headings = ("figure", "median", "against", "ratio", "spread", "at most", "target", "met")
    for heading in headings:
        table.add_column(heading)
    for one in figures:
        table.add_row(
            one.name,
            f"{one.numerator:.3f} {one.unit}",
            f"{one.denominator:.3f} {one.unit}",
            f"{one.ratio:.2f}x",
            f"{one.spread:.0%}",
            f"{one.bound:.1f}x" if one.bound else "",
            one.target or "-",
            "" if not one.target else "yes" if one.met else "NO",
        )
    return table


def _spread_table(measured: list[Spread], title: str) -> Table:
    table = Table(title=title)
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
    for spread in measured:
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
    return table
