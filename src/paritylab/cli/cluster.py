"""The command that makes this machine a host of a cluster."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from paritylab.cli.app import app, err, out
from paritylab.cli.elsewhere import module
from paritylab.cluster.join import command, variables
from paritylab.cluster.join import join as keep_joined
from paritylab.hardware import cpu_model
from paritylab.plan import Options, cells_of


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def join(
    context: typer.Context,
    scheduler: Annotated[str, typer.Argument(help="Such as tcp://scheduler:8786.")],
    threads: Annotated[
        int | None, typer.Option(min=1, help="Cells at a time; default: cores.")
    ] = None,
    patience: Annotated[
        float | None,
        typer.Option(min=11, help="Seconds until a silent connection is given up; default: 30."),
    ] = None,
) -> None:
    """Run cells for others: a Dask worker, started again whenever it ends, until Ctrl-C.

    What follows `--` goes to `dask worker`. Only join schedulers that you trust: whoever can talk
    to one can run code here.

    Example: `paritylab join tcp://scheduler:8786 --threads 4`
    """
    module("link")  # without Dask no worker would ever start
    words = command(scheduler, threads=threads, more=[w for w in context.args if w != "--"])
    keep_joined(words, lambda text: err.print(text, style="yellow"), variables(patience))


JOURNALS = (("run by run (audit)", 1, 16), ("six at once (grade)", 6, 6), ("none (run)", 0, 16))
"""How commands record: the cells of one wait for the disk, and of a batch.

A submission is a batch: two programs with three hidden seeds each.
"""


@app.command(name="bench-cluster")
def bench_cluster(
    hosts: Annotated[int, typer.Option(min=1, help="Hosts at the most.")] = 1000,
    threads: Annotated[int, typer.Option(min=1, help="Cells at a time on each.")] = 16,
    cells: Annotated[int, typer.Option(min=1, help="Cells of the run.")] = 1_000_000,
    seconds: Annotated[float, typer.Option(min=0.001, help="What a cell takes.")] = 0.5,
    tasks: Annotated[int, typer.Option(min=100, help="Tasks to measure Dask with.")] = 10_000,
) -> None:
    """Measure what a cell costs a cluster's one desk and one scheduler; simulate many hosts.

    Says what breaks first. docs/scale.md tells what to do about it. About a minute.

    Example: `paritylab bench-cluster --hosts 1000 --cells 1000000`
    """
    measure, scale = module("measure"), module("scale")
    found, rates = measure.costs(cells_of(Options()), tasks=tasks, cell=seconds)
    table = Table(title=f"One cell, measured ({cpu_model()})", show_header=False)
    for name, value in {**asdict(found), **rates}.items():
        table.add_row(name, f"{value:,.6f}" if value < 1 else f"{value:,.0f}")
    out.print(table)
    for what, commit, batch in JOURNALS:
        grown = Table(
            "hosts", "hours", "ideal", "cells/s", "desk", "scheduler", "places", "Mbit/s", "GB",
            "first to break", title=f"{cells:,} cells, {threads} a host at a time, journal: {what}",
        )  # fmt: skip
        count = 1
        while count <= hosts:
            row = scale.outlook(
                found, hosts=count, threads=threads, cells=cells, batch=batch, commit=commit
            )
            grown.add_row(*_told(row))
            count *= 10
        out.print(grown)


def _told(row: Any) -> tuple[str, ...]:
    return (
        f"{row.hosts:,}", f"{row.seconds / 3600:,.2f}", f"{row.ideal / 3600:,.2f}",
        f"{row.rate:,.0f}", f"{row.desk:.0%}", f"{row.scheduler:.0%}", f"{row.places:.0%}",
        f"{row.megabits:,.0f}", f"{row.gigabytes:,.1f}", row.first,
    )  # fmt: skip
