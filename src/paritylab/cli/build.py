"""Commands that make locks and images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.tree import Tree

from paritylab import bases, catalog, cudacheck, imagebuild, images, imagesizes, venvs
from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.cudacheck import Load, Scan
from paritylab.engines.dockerclient import explained, open_client
from paritylab.engines.sandbox import sweep
from paritylab.errors import EXIT_RED, UsageError
from paritylab.imageprobe import look_into
from paritylab.images import ImageRow
from paritylab.locking import lock_all
from paritylab.model import Environment
from paritylab.progress import Display
from paritylab.turns import together


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
    only = environments or None
    with Display() as progress:
        changed = lock_all(loaded.environments, only, upgrade=upgrade, progress=progress)
    for path in changed:
        out.print(f"written: {path.relative_to(loaded.root)}", markup=False)
    if not changed:
        out.print("every lock is up to date")


image_commands = typer.Typer(
    help="Build, list and remove environment images.", no_args_is_help=True
)
app.add_typer(image_commands, name="images")


def _with_device(environments: list[str] | None, device: str) -> list[Environment]:
    loaded = catalog.load(catalog.find_root(), environments=environments or ())
    found = [one for one in loaded.environments.values() if device in one.stacks]
    if not found:
        raise UsageError(f"no chosen environment has the device {device}", fix="paritylab list")
    return found


@image_commands.command("build")
def images_build(
    environment: opt.Environments = None, device: opt.Device = "cpu", base: opt.Base = "auto"
) -> None:
    """Build the images that are missing, one for each processor at a time.

    An unchanged image costs a second. Example: `paritylab images build --environment tf2 --base
    bootstrap`
    """
    chosen, made = _with_device(environment, device), dict[str, str]()

    def build(one: Environment) -> None:
        # A client of its own: the SDK's sessions are not made to be shared.
        client = open_client()
        made[one.name] = images.ensure(client, one, device, base=base, progress=progress)

    try:
        with Display() as progress, explained("building images"):
            together([partial(build, one) for one in chosen], stop=imagebuild.halt)
    finally:  # what there is, is there, whatever became of the others
        for name, found in sorted(made.items()):
            out.print(f"{name}-{device}: {found}", highlight=False, soft_wrap=True)


@image_commands.command("check")
def images_check(environment: opt.Environments = None, base: opt.Base = "auto") -> None:
    """Prove CUDA images without a GPU: every library that a framework asks for loads.

    In both orders of import; versions are held against the lock and the frameworks' build.
    Example: `paritylab images check --environment tf2`
    """
    client, red = open_client(), False
    with Display() as progress, explained("checking images"):
        for one in _with_device(environment, "cuda"):
            image = images.ensure(client, one, "cuda", base=base, progress=progress)
            task = progress.add_task(f"{one.name}: loading libraries", total=None)
            scan, loads = look_into(client, image)
            progress.update(task, total=1, completed=1)
            out.print(_library_table(one.name, scan, loads))
            for fault in cudacheck.faults(one.stacks["cuda"], scan, loads):
                red = True
                err.print(f"{one.name}: {fault}", style="red", markup=False)
    if red:
        raise typer.Exit(EXIT_RED)


def _library_table(name: str, scan: Scan, loads: list[Load]) -> Table:
    built = ", ".join(f"{what} {version}" for what, version in loads[0].built.items())
    table = Table(title=f"CUDA libraries of {name} ({built})")
    for column in ("library", "version", "asked for by", "loads"):
        table.add_column(column)
    for row in cudacheck.rows(scan, loads):
        by = cudacheck.names(row.asked_by)
        table.add_row(row.library, row.version, by, row.fault or "yes")
    opened = ", ".join(sorted(name for name, got in loads[0].tensorflow.items() if got))
    table.caption = f"TensorFlow's own loader opens: {opened}"
    return table


@image_commands.command("list")
def images_list(
    compressed: Annotated[
        bool,
        typer.Option("--compressed", help="Also what a registry would store; packs every layer."),
    ] = False,
) -> None:
    """Show our images with the size of every layer, unpacked and (on demand) compressed.

    Examples: `paritylab images list`, `paritylab images list --compressed`
    """
    client = open_client()
    with explained("listing images"), Display() as progress:
        rows = images.listing(client)
        for row in rows:
            sizes = imagesizes.compressed(client, row.image_id, progress) if compressed else {}
            out.print(_tree(row, list(sizes.values())))
    if not rows:
        out.print("no images; `paritylab images build` makes them")


def _tree(row: ImageRow, packed: list[int]) -> Tree:
    total = f", {sum(packed) / 1e6:,.0f} MB compressed" if packed else ""
    tree = Tree(f"[bold]{row.tag}[/]  {row.size / 1e6:,.0f} MB{total}  [dim]{row.image_id[7:19]}")
    layers = [layer for layer in row.layers if layer.size]
    for number, layer in enumerate(layers):
        # An empty layer has a DiffID, too: sizes are told where they belong to one for certain.
        known = len(packed) == len(layers)
        small = f", {packed[number] / 1e6:>6,.0f} MB compressed" if known else ""
        tree.add(f"{layer.size / 1e6:>8,.0f} MB{small}  {layer.made_by[:90]}")
    return tree


@image_commands.command("prune")
def images_prune(
    everything: Annotated[
        bool, typer.Option("--all", help="Also the images that the locks of today need.")
    ] = False,
) -> None:
    """Remove images that no lock of today needs, and what killed runs and builds left.

    Example: `paritylab images prune`
    """
    loaded = catalog.load(catalog.find_root())
    stacks = [(one, device) for one in loaded.environments.values() for device in one.stacks]
    keep = [] if everything else [tag for stack in stacks for tag in images.current(*stack)]
    client = open_client()
    with explained("removing images"):
        removed = [*sweep(client), *images.prune(client, keep)]
    for name in removed:
        out.print(f"removed: {name}", highlight=False)
    if not removed:
        out.print("nothing to remove")


@image_commands.command("context")
def images_context(
    environment: Annotated[str, typer.Argument(help="The environment's name.")],
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    device: opt.Device = "cpu",
    base: opt.Base = "auto",
) -> None:
    """Write a context for `docker build`, and print the command that uses it.

    Example: `paritylab images context tf2 build/tf2`
    """
    [one] = _with_device([environment], device)
    with Display() as progress:
        found = bases.identify(one, device, mode=base, progress=progress)
        made = images.context(one, device, folder, base=found, progress=progress)
    arguments = " ".join(f"--build-arg {name}={value}" for name, value in made.arguments.items())
    out.print(
        f"DOCKER_BUILDKIT=1 docker build --network none {arguments} "
        f"--file docker/Dockerfile --tag {environment} {made.folder}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


venv_commands = typer.Typer(
    help="List and remove the virtual environments that runs have made.", no_args_is_help=True
)
app.add_typer(venv_commands, name="venvs")


@venv_commands.command("list")
def venvs_list() -> None:
    """Show every virtual environment in the cache with its size.

    Example: `paritylab venvs list`
    """
    found = venvs.listing()
    for one in found:
        out.print(f"{one.size / 1e6:>8,.0f} MB  {one.name}", highlight=False)
    if not found:
        out.print("none yet; `paritylab run` makes them")


@venv_commands.command("prune")
def venvs_prune(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that the locks of today need.")
    ] = False,
) -> None:
    """Remove virtual environments that no lock of today needs; the wheels stay.

    Example: `paritylab venvs prune`
    """
    loaded = catalog.load(catalog.find_root())
    stacks = [(one, device) for one in loaded.environments.values() for device in one.stacks]
    for name in venvs.prune([] if everything else stacks):
        out.print(f"removed: {name}", highlight=False)
