"""Commands that read labs and environments and run nothing."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from paritylab import atomic, catalog
from paritylab import results as results_file
from paritylab.cli import options as opt
from paritylab.cli.app import app, out
from paritylab.lesson import lesson
from paritylab.pages import pages as generated
from paritylab.scaffold import new_course as write_course
from paritylab.scaffold import new_lab


@app.command("list")
def list_everything() -> None:
    """Show labs and environments, and which implementation runs where.

    Examples: `paritylab list`, `paritylab list --labs ~/my-course`
    """
    loaded = catalog.load(catalog.find_root())
    labs = Table("lab", "title", "outputs", title="Labs", title_justify="left")
    for lab in loaded.labs.values():
        labs.add_row(lab.slug, escape(lab.title), ", ".join(lab.outputs))
    environments = Table(
        "environment",
        "title",
        "Python",
        "devices",
        "implementations",
        title="Environments",
        title_justify="left",
    )
    for environment in loaded.environments.values():
        runs = [n for n, support in environment.support.items() if not support.unsupported]
        environments.add_row(
            environment.name,
            escape(environment.title),
            environment.python,
            ", ".join(environment.stacks),
            ", ".join(runs),
        )
    out.print(labs, environments)


@app.command()
def claims() -> None:
    """Print every claim of the guide that a lab checks, with today's verdict.

    Example: `paritylab claims`
    """
    labs = catalog.load(catalog.find_root()).labs.values()
    rows = [(lab.slug, claim) for lab in labs for claim in lab.claims]
    table = Table("claim", "today", "lab", "evidence", title=f"{len(rows)} claims")
    for slug, claim in rows:
        table.add_row(*(escape(text) for text in (claim.text, claim.verdict, slug, claim.evidence)))
    out.print(table)


@app.command()
def pages() -> None:
    """Write the generated tables of README.md and docs/ again.

    Example: `paritylab pages`
    """
    root = catalog.find_root()
    for path, text in generated(catalog.load(root)).items():
        atomic.write(path, text)
        out.print(f"written: {path.relative_to(root)}")


@app.command()
def show(lab: Annotated[str, typer.Argument(help="The lab's name.")]) -> None:
    """Show a lab's lesson with its programs side by side.

    Example: `paritylab show train`
    """
    loaded = catalog.load(catalog.find_root(), labs=[lab])
    with out.pager(styles=True) if out.is_terminal else nullcontext():
        out.print(lesson(loaded.labs[lab]))


@app.command()
def new(lab: Annotated[str, typer.Argument(help="The new lab's name.")]) -> None:
    """Write a new lab that already keeps the contract, to be changed step by step.

    Example: `paritylab new my-lab`, then `paritylab accept --lab my-lab`
    """
    folder = new_lab(catalog.find_root(), lab)
    out.print(f"labs/{folder.name} is written. Next: paritylab accept --lab {lab}")


@app.command("new-course")
def new_course(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet, or is empty.")],
    environment: opt.Environments = None,
) -> None:
    """Write a course's own repository: a lab that works, environments, noxfile, CI.

    Example: `paritylab new-course my-course --environment tf2`, then `cd my-course`,
    `paritylab run`
    """
    written = write_course(folder, environment or ())
    out.print(f"{written} is written. Next: cd {folder}; paritylab run", soft_wrap=True)


@app.command()
def plot(
    results: Annotated[Path, typer.Argument(help="A results.json.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the PNG files go.")] = Path("plots"),
) -> None:
    """Draw the curves of a run: one picture per lab and curve, all cells over one another.

    Example: `paritylab run --results r.json`, then `paritylab plot r.json`
    """
    # Matplotlib takes a second to import; only this command needs it.
    from paritylab.plots import plot as draw  # noqa: PLC0415

    found = results_file.read(results)
    for path in draw(found.cells, folder, catalog.find_root() / "labs"):
        out.print(f"written: {path}")
