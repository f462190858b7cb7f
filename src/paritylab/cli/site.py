"""The command that makes the site."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from typer.cli import get_docs_for_click

from paritylab import catalog
from paritylab.cli import load
from paritylab.cli.app import app, err, out
from paritylab.errors import LabError
from paritylab.folders import check_ours
from paritylab.progress import Display
from paritylab.results import read


@app.command()
def site(
    results: Annotated[
        Path | None,
        typer.Option(
            help="A results.json; default: the newest reports/lab*.json that has every lab."
        ),
    ] = None,
    folder: Annotated[Path, typer.Option("--out", help="Where the pages go.")] = Path("build/site"),
    sources: Annotated[
        Path | None, typer.Option("--sources", help="Keep what MkDocs reads in this folder.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Make the site from labs/, docs/ and a run: lessons, programs side by side, curves, reference.

    Opens from a disk, asks nothing from the network. Needs `pip install 'paritylab[site]'`.

    Example: `paritylab run --results r.json`, then `paritylab site --results r.json --open`
    """
    # Matplotlib and YAML are for this command alone.
    from paritylab.site import build, write_tree  # noqa: PLC0415

    check_ours(folder)
    loaded = catalog.load(catalog.find_root())
    run = results or _newest(loaded)
    if run is None:
        err.print(
            "no run of every lab in reports/: pages without verdicts; first: nox -s lab",
            style="yellow",
        )
    with TemporaryDirectory(prefix="paritylab-site-") as scratch, Display() as display:
        task = display.add_task("site", total=None, last="drawing and writing the pages")
        tree = sources or Path(scratch) / "site"
        write_tree(loaded, run, commands=reference(), folder=tree)
        display.update(task, last="MkDocs at work")
        first = build(tree, folder)
    out.print(f"written: {first}", markup=False, highlight=False, soft_wrap=True)
    if show:
        typer.launch(first.absolute().as_uri())


def reference() -> str:
    """Return the help of every command as one Markdown page."""
    load()
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="paritylab")
    return text.replace("# `paritylab`", "# The command line", 1)


def _newest(loaded: catalog.Catalog) -> Path | None:
    """Return the newest run of every lab; a part of them would leave the others' pages bare."""
    found = (loaded.root / "reports").glob("lab*.json")
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        with suppress(LabError):
            run = read(path)
            if not run.run.get("smoke") and {cell.lab for cell in run.cells} >= set(loaded.labs):
                return path
    return None
