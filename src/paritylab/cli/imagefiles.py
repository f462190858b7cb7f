"""Commands that take images from one engine to another without a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paritylab import bases, catalog, images, imagetransfer
from paritylab.cli.app import out
from paritylab.cli.build import image_commands
from paritylab.engines.dockerclient import open_client
from paritylab.errors import UsageError
from paritylab.progress import Display

Chosen = Annotated[
    list[str] | None, typer.Option("--environment", help="Only this environment; repeatable.")
]


@image_commands.command("export")
def images_export(
    folder: Annotated[Path, typer.Argument(help="Where the files go: one for each image.")],
    environment: Chosen = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    base: Annotated[str, typer.Option(help="As they were built: auto, pull or bootstrap.")] = (
        "auto"
    ),
) -> None:
    """Write images into files for hosts without a registry; what is there already stays.

    Example: `paritylab images export shared/ --environment tf2`
    """
    loaded = catalog.load(catalog.find_root(), environments=environment or ())
    client = open_client()
    with Display() as progress:
        for one in loaded.environments.values():
            if device not in one.stacks:
                continue
            found = bases.identify(one, device, mode=base, progress=progress)
            tag = images.tag(one, device, found)
            path = imagetransfer.export(client, tag, folder, progress)
            out.print(f"{path}  {path.stat().st_size / 1e6:,.0f} MB", highlight=False)


@image_commands.command("load")
def images_load(
    paths: Annotated[list[Path], typer.Argument(help="Files of `images export`, or folders.")],
) -> None:
    """Give this machine's engine the images of files, once; what it has already stays.

    Example: `paritylab images load shared/`
    """
    files = [file for path in paths for file in _files(path)]
    client = open_client()
    with Display() as progress:
        for file in files:
            loaded = imagetransfer.load(client, file, progress)
            tag = loaded.tag if loaded else imagetransfer.read(file).tag
            out.print(f"{tag}: {'loaded' if loaded else 'was there'}", highlight=False)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.tar"))
    if not found:
        raise UsageError(f"{path} holds no image", fix=f"paritylab images export {path}")
    return found
