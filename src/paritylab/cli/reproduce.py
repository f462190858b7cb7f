"""The command that makes images twice."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from paritylab import catalog, reproduce
from paritylab.cli import options as opt
from paritylab.cli.app import out
from paritylab.cli.build import image_commands
from paritylab.engines.dockerclient import explained, open_client
from paritylab.errors import EXIT_RED, UsageError
from paritylab.progress import Display
from paritylab.reproduce import Reproduction
from paritylab.stacks import Environment

SHOWN = 40


@image_commands.command("reproduce")
def images_reproduce(
    environment: opt.Environments = None,
    device: opt.Device = "cpu",
    base: opt.Base = "auto",
    bases_only: Annotated[
        bool, typer.Option("--bases", help="Only the bases of Debian packages, not the images.")
    ] = False,
) -> None:
    """Make images (or bases) twice from scratch and compare them file by file.

    Paths, modes, owners, contents, links and dates must be equal; what differs is told, exit 1.
    Takes minutes per environment. Nothing of it is left.

    Examples: `paritylab images reproduce --environment tf2 --base bootstrap`,
    `paritylab images reproduce --bases`
    """
    found = []
    with Display() as progress, explained("making images twice"):
        for one in _chosen(environment, device):
            if bases_only:
                found.append(reproduce.base(one, progress))
            else:
                client = open_client()
                found.append(reproduce.image(client, one, device, base=base, progress=progress))
    for row in found:
        _tell(row)
    if not all(row.same for row in found):
        raise typer.Exit(EXIT_RED)


def _chosen(names: list[str] | None, device: str) -> list[Environment]:
    loaded = catalog.load(catalog.find_root(), environments=names or ())
    found = [one for one in loaded.environments.values() if device in one.stacks]
    if not found:
        raise UsageError(f"no chosen environment has the device {device}", fix="paritylab list")
    return found


def _tell(row: Reproduction) -> None:
    if row.same:
        usual = ", and so is the one in use" if row.usual == row.first else ""
        out.print(f"{row.name}: the same twice{usual}: {row.first}", style="green", markup=False)
        return
    table = Table(title=f"{row.name}: {len(row.differences)} differences", title_justify="left")
    for heading in ("path", "what", "first", "second"):
        table.add_column(heading)
    for one in row.differences[:SHOWN]:
        table.add_row(*(escape(t[:80]) for t in (one.path, one.what, one.before, one.after)))
    out.print(table)
