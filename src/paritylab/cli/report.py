"""The command that turns results.json into a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paritylab import results as results_file
from paritylab.cli.app import app, out
from paritylab.report import check_writable


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="A results.json.")],
    html: Annotated[Path, typer.Option("--html", help="Where the page goes.")] = Path(
        "report.html"
    ),
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write a run as one self-contained page: matrix, curves, first divergences, versions.

    Example: `paritylab run --results r.json`, then `paritylab report r.json --html r.html --open`
    """
    # Matplotlib takes a second to import; only the commands that draw need it.
    from paritylab.html import write  # noqa: PLC0415
    from paritylab.html.report import pieces  # noqa: PLC0415

    found = results_file.read(results)
    check_writable(html, option="--html")
    write(html, pieces(found))
    out.print(f"written: {html}", markup=False, highlight=False, soft_wrap=True)
    if show:
        typer.launch(html.absolute().as_uri())
