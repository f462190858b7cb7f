"""Commands for CI systems: the matrix, in parts if asked for, and what the parts found as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from paritylab import atomic, ci, durations, report
from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.errors import EXIT_RED, UsageError
from paritylab.junit import junit
from paritylab.merge import Merged
from paritylab.merge import merge as merge_shards
from paritylab.model import Cell
from paritylab.plan import Options, choose
from paritylab.shards import Shard, split


@app.command()
def matrix(
    lab: opt.Labs = None,
    implementation: opt.Implementations = None,
    environment: opt.Environments = None,
    device: opt.Device = "cpu",
    shards: Annotated[
        int | None, typer.Option(min=1, help="Parts that take about equally long, a job each.")
    ] = None,
    balance_by: opt.BalanceBy = None,
    github: Annotated[
        bool,
        typer.Option(help="One line for a GitHub Actions `matrix`: shards, else environments."),
    ] = False,
    gitlab: Annotated[bool, typer.Option(help="With --shards: a GitLab child pipeline.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON list of cells, or of shards.")
    ] = False,
) -> None:
    """Print every cell: what would run where, and why the rest cannot; or the jobs of a CI run.

    Examples: `paritylab matrix --environment tf2`, `paritylab matrix --json --shards 5`,
    `paritylab matrix --github --shards 5`, then in job 2 `paritylab run --shard 2/5`
    """
    chosen = choose(Options(selection=opt.selection(lab, implementation, environment, device)))
    if shards is None:
        if gitlab or balance_by:
            raise UsageError("--gitlab and --balance-by are for --shards", fix="add --shards 5")
        _print_cells(list(chosen.cells), device, github=github, as_json=as_json)
        return
    parts = split(chosen.cells, shards, durations.known(chosen.root, balance_by))
    if github:
        print(json.dumps(ci.github(parts)))
    elif gitlab:
        print(json.dumps(ci.gitlab(parts), indent=2))
    elif as_json:
        print(json.dumps(ci.jobs(parts), indent=2))
    else:
        out.print(_shard_table(parts))


def _print_cells(cells: list[Cell], device: str, *, github: bool, as_json: bool) -> None:
    if github:
        names = sorted({cell.environment.name for cell in cells if not cell.unsupported})
        print(json.dumps({"include": [{"environment": n, "device": device} for n in names]}))
    elif as_json:
        print(json.dumps([_plain(cell) for cell in cells], indent=2))
    else:
        table = Table("cell", "runs")
        for cell in cells:
            table.add_row(cell.id, escape(cell.unsupported or "yes"))
        out.print(table)


def _plain(cell: Cell) -> dict[str, str | None]:
    return {
        "cell": cell.id,
        "lab": cell.lab.slug,
        "implementation": cell.implementation,
        "environment": cell.environment.name,
        "device": cell.device,
        "unsupported": cell.unsupported,
    }


def _shard_table(parts: tuple[Shard, ...]) -> Table:
    table = Table("shard", "cells that run", "environments", "expected seconds")
    for part in parts:
        runs = sum(not cell.unsupported for cell in part.cells)
        table.add_row(part.name, str(runs), ", ".join(part.environments), f"{part.seconds:.1f}")
    return table


@app.command()
def merge(
    files: Annotated[list[Path], typer.Argument(help="The results.json of every shard.")],
    target: Annotated[
        Path, typer.Option("--out", help="Where the whole run's results.json goes.")
    ] = Path("results.json"),
    junitxml: Annotated[Path | None, typer.Option(help="Write JUnit XML of it here.")] = None,
    learn: Annotated[
        Path | None,
        typer.Option(
            "--durations", help="Put its green cells' seconds here, such as labs/durations.json."
        ),
    ] = None,
) -> None:
    """Make one run of its shards: results.json, JUnit XML, the matrix; exit code as `run`'s.

    Refuses (exit 2) shards of different commits, locks or settings, and says which shard or cell
    is missing or there twice. The order of the files is no matter.

    Example: `paritylab merge shard-1.json shard-2.json --out results.json --junitxml junit.xml`
    """
    for path, option in ((target, "--out"), (junitxml, "--junitxml"), (learn, "--durations")):
        if path:
            report.check_writable(path, option=option)
    merged = merge_shards(files)
    report.write_json(target, merged.document)
    if junitxml:
        atomic.write(junitxml, junit(merged.cells, created=merged.document["created"]))
    if learn:
        before = durations.read(learn) if learn.is_file() else durations.Durations()
        durations.write(learn, merged.cells, before=before)
    report.show(out, merged.cells)
    out.print(_balance(merged))
    for note in merged.notes:
        err.print(f"note: {note}", style="yellow", markup=False)
    out.print(f"results: {target}", style="dim", markup=False)
    if not report.all_green(merged.cells):
        raise typer.Exit(EXIT_RED)


def _balance(merged: Merged) -> Table:
    table = Table("shard", "cells", "expected seconds", "seconds of its cells", "file")
    for part in merged.parts:
        table.add_row(
            f"{part.number}/{part.of}",
            str(len(part.planned)),
            f"{part.expected:.1f}",
            f"{part.seconds:.1f}",
            escape(str(part.path)),
        )
    return table
