"""The command line: arguments only; every command is a few calls into the package."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from paritylab import catalog, report
from paritylab.accept import accept as accept_lab
from paritylab.errors import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_RED, LabError
from paritylab.matrix import Selection
from paritylab.matrix import cells as matrix_cells
from paritylab.model import Cell, CellResult, Verdict
from paritylab.plan import Options, cells_of, facts, open_engine
from paritylab.runner import Settings, run_all, worker_keys

app = typer.Typer(
    help=(
        "One deep-learning scenario in PyTorch, TensorFlow 1 graphs and TensorFlow 2, in pinned "
        "environments, held against one float64 oracle.\n\n"
        "Exit codes: 0 all green, 1 a cell is not green, 2 wrong input, 3 engine trouble, "
        "130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
out = Console()
err = Console(stderr=True)

Labs = Annotated[list[str] | None, typer.Option("--lab", help="Only this lab; repeatable.")]
Implementations = Annotated[
    list[str] | None,
    typer.Option("--implementation", help="Only pytorch, tf1 or tf2; repeatable."),
]
Environments = Annotated[
    list[str] | None, typer.Option("--environment", help="Only this environment; repeatable.")
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        help="venv: pinned virtual environments; docker: images; here: this interpreter.",
    ),
]
Base = Annotated[
    str,
    typer.Option(
        help="Base images: pull by digest, bootstrap from Debian packages, or auto (pull if it "
        "can be had)."
    ),
]
Profile = Annotated[
    str,
    typer.Option(help="portable: the same bits on every x86-64 CPU; native: out of the box."),
]


def _selection(
    labs: list[str] | None,
    implementations: list[str] | None,
    environments: list[str] | None,
    device: str,
) -> Selection:
    return Selection(
        labs=tuple(labs or ()),
        implementations=tuple(implementations or ()),
        environments=tuple(environments or ()),
        device=device,
    )


@app.command("list")
def list_everything() -> None:
    """Show labs and environments, and which implementation runs where."""
    loaded = catalog.load(catalog.find_root())
    labs = Table("lab", "title", "outputs", title="Labs", title_justify="left")
    for lab in loaded.labs.values():
        labs.add_row(lab.slug, lab.title, ", ".join(lab.outputs))
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
            environment.title,
            environment.python,
            ", ".join(environment.stacks),
            ", ".join(runs),
        )
    out.print(labs, environments)


@app.command()
def matrix(
    lab: Labs = None,
    implementation: Implementations = None,
    environment: Environments = None,
    device: Device = "cpu",
    github: Annotated[
        bool, typer.Option(help="One line for a GitHub Actions `matrix`: environments to run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object per cell.")] = False,
) -> None:
    """Print every cell: what would run where, and why the rest cannot.

    Example: `paritylab matrix --environment tf2`
    """
    chosen = _selection(lab, implementation, environment, device)
    cells = matrix_cells(catalog.load(catalog.find_root()), chosen)
    if github:
        names = sorted({cell.environment.name for cell in cells if not cell.unsupported})
        print(json.dumps({"include": [{"environment": n, "device": device} for n in names]}))
    elif as_json:
        print(json.dumps([_plain(cell) for cell in cells], indent=2))
    else:
        table = Table("cell", "runs")
        for cell in cells:
            table.add_row(cell.id, "yes" if not cell.unsupported else cell.unsupported)
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
        selection=_selection(lab, implementation, environment, device),
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


def _run(
    cells: list[Cell], options: Options, jobs: int | None
) -> tuple[list[CellResult], dict[str, str]]:
    """Prepare the engine and run the cells with a progress bar on stderr."""
    opened = open_engine(options)
    try:
        opened.prepare(worker_keys(cells, options.settings.profile))
        columns = (
            TextColumn("[bold]cells"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=err, transient=True) as progress:
            task = progress.add_task("starting workers", total=len(cells))

            def done(result: CellResult) -> None:
                progress.update(task, advance=1, description=f"{result.cell}: {result.verdict}")

            found = run_all(
                cells,
                opened,
                options.settings,
                jobs=jobs or len(os.sched_getaffinity(0)),
                done=done,
            )
        return found, dict(getattr(opened, "images", {}))
    finally:
        opened.close()


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
        selection=_selection(lab, None, None, "cpu"),
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
            out.print(f"  {line[:160]}", markup=False, highlight=False)
        if not dry_run:
            acceptance.write()
    _tell_gaps(results)
    if refused:
        raise typer.Exit(EXIT_RED)


def _tell_gaps(results: list[CellResult]) -> None:
    gaps = [r for r in results if r.verdict is Verdict.UNSUPPORTED]
    for message in sorted({f"{r.environment}: {r.message}" for r in gaps}):
        err.print(f"not run: {message}", style="dim", markup=False)


def main() -> None:
    """Run the command line; every LabError becomes its message and exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(standalone_mode=False)
    except LabError as fault:
        err.print(str(fault), style="red", markup=False, highlight=False)
        code = fault.exit_code
    except (KeyboardInterrupt, typer.Abort):
        err.print("interrupted; everything that was started is stopped", style="yellow")
        code = EXIT_INTERRUPTED
    except Exception as fault:
        # Usage errors of the command line; Typer vendors its base class under a private name.
        if not hasattr(fault, "show"):
            raise
        fault.show()
        code = EXIT_INPUT
    sys.exit(code or 0)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
