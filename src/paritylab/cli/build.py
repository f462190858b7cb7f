"""Commands that make locks and images."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress

from paritylab import catalog
from paritylab.cli.app import app, err, out
from paritylab.locking import lock_all


@app.command()
def lock(
    environments: Annotated[list[str] | None, typer.Argument(help="Only these.")] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Newest versions that fit; default: keep today's.")
    ] = False,
) -> None:
    """Resolve the .in files of environments into locks with hashes.

    A lock that another program wrote is refused. Example: `paritylab lock tf2`
    """
    loaded = catalog.load(catalog.find_root())
    changed = lock_all(loaded.environments, only=environments or None, upgrade=upgrade)
    for path in changed:
        out.print(f"written: {path.relative_to(loaded.root)}", markup=False)
    if not changed:
        out.print("every lock is up to date")


images = typer.Typer(help="Build, list and remove environment images.", no_args_is_help=True)
app.add_typer(images, name="images")
_ = (Progress, err)
