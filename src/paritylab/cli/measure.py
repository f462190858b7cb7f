"""Commands that measure labs: their spread, planted faults."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from paritylab.calibrate import Spread, measure, spreads
from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.cli.live import engine_for, progress_over
from paritylab.errors import EXIT_RED, EngineError
from paritylab.model import PROFILES, Verdict
from paritylab.mutants import hunt, read_mutants, runs
from paritylab.plan import Options, cells_of

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
