"""The command that looks at the machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.doctor import Line, Scope, examine, healthy, leftovers
from paritylab.errors import EXIT_ENGINE, UsageError, nearest
from paritylab.model import DEVICES
from paritylab.plan import ENGINES
from paritylab.progress import Display

STYLES = {"ok": "green", "missing": "bold red", "optional": "yellow"}


@app.command()
def doctor(
    engine: opt.EngineName = "venv",
    device: opt.Device = "cpu",
    fix: Annotated[
        bool, typer.Option("--fix", help="Remove what killed runs left; nothing else changes.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON list, an object for each line.")
    ] = False,
) -> None:
    """Look at everything that runs need; each gap is told with the command that closes it.

    Exit 3 while something is missing that the chosen engine and device need; what is `optional`
    costs comfort or single environments.

    Examples: `paritylab doctor`, `paritylab doctor --engine docker --device cuda`,
    `paritylab doctor --fix`
    """
    for kind, name, valid in (("engine", engine, ENGINES), ("device", device, DEVICES)):
        if name not in valid:
            raise UsageError(f"unknown {kind} `{name}`", why=nearest(name, valid))
    scope = Scope(engine, device)
    if fix:
        for name in leftovers.remove(scope):
            err.print(f"removed: {name}", markup=False, highlight=False)
    with Display() as display:
        display.add_task("looking", total=None)
        lines = examine(scope)
    if as_json:
        print(json.dumps([_plain(line) for line in lines], indent=2))
    else:
        _show(lines)
    if not healthy(lines):
        raise typer.Exit(EXIT_ENGINE)


def _plain(line: Line) -> dict[str, str | bool]:
    return {**asdict(line), "status": line.status, "fix": "" if line.ok else line.fix}


def _show(lines: list[Line]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "what", "found; what to type"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        said = Text(line.found)
        if not line.ok and line.fix:
            said.append(f"\n{line.fix}", style="cyan")
        table.add_row(Text(line.status, style=STYLES[line.status]), Text(line.name), said)
    out.print(table)
    missing = [line.name for line in lines if line.status == "missing"]
    told = f"missing: {', '.join(missing)}" if missing else "everything that is needed is here"
    out.print(told, style="bold red" if missing else "bold green", markup=False)
