"""The command that measures speed, memory and growth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from paritylab import report
from paritylab.bench import suite
from paritylab.bench.model import Figure, Tell
from paritylab.bench.suite import LETTERS, Request
from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.hardware import cpu_model
from paritylab.progress import Display


@app.command()
def bench(
    only: Annotated[
        str | None, typer.Option(metavar="a,g", help="Only these figures; default: all of them.")
    ] = None,
    lab: opt.Labs = None,
    environment: opt.Environments = None,
    engine: opt.EngineName = "docker",
    base: opt.Base = "auto",
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; medians are shown.")] = 5,
    results: Annotated[Path | None, typer.Option("--results", help="Write JSON here.")] = None,
) -> None:
    """Measure warm cells, matrix, grading, builds, scaling, memory and growth; print one table.

    All from one run on this machine: more than an hour for everything. a: warm cells against
    `docker run` per cell; b: the matrix against its floor; c: grading; d: image builds;
    e: scaling with pytest processes; f: memory; g: growth up to 10,000 cells.

    Examples: `paritylab bench --only g`, `paritylab bench --only a,b --lab train --repeats 7`
    """
    request = Request(
        only=_letters(only),
        labs=tuple(lab or ()),
        environments=tuple(environment or ()),
        engine=engine,
        base=base,
        repeats=repeats,
    ).check()
    if results:
        report.check_writable(results)
    figures: list[Figure] = []
    try:
        with _telling() as tell:
            for found in suite.measure(request, tell):
                figures += found
                if results:  # whatever comes later, an hour's figures stay
                    report.write_json(results, suite.document(figures, request))
    finally:
        if figures:
            title = f"{report.host()['cores']} cores, {repeats} repeats, {cpu_model()}"
            out.print(_table(figures, title))
        if results and figures:
            out.print(f"results: {results}", style="dim", markup=False)


@contextmanager
def _telling() -> Iterator[Tell]:
    """Say each line when its measurement ends; between two of them minutes may pass."""
    with Display(per_second=1.0) as display:
        task = display.add_task("measuring", total=None)

        def tell(line: str) -> None:
            err.print(line, markup=False, highlight=False)
            display.update(task, last=f"last: {line}")

        yield tell


def _letters(only: str | None) -> tuple[str, ...]:
    words = (only or ",".join(LETTERS)).split(",")
    return tuple(dict.fromkeys(word.strip() for word in words))


def _table(figures: list[Figure], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("", "figure", "median", "least to most", "target", "met", "medians of"):
        table.add_column(heading)
    for one in figures:
        unit = f" {one.unit}" if one.unit not in ("", "x") else one.unit
        parts = [f"{name} {suite.middle(values)}" for name, values in one.parts.items()]
        table.add_row(
            one.letter,
            escape(one.name),
            f"{suite.middle(one.samples)}{unit}",
            suite.spread(one),
            str(one.target or "-"),
            {None: "", True: "yes", False: "NO"}[one.met],
            escape("; ".join([*parts, *([one.note] if one.note else [])])),
        )
    return table
