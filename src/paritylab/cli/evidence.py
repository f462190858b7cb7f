"""Commands about evidence bundles: pack one, verify one, compare two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paritylab import catalog
from paritylab.atomic import write as write_file
from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.errors import EXIT_RED, BundleError, UsageError
from paritylab.progress import Display
from paritylab.report import check_writable

if TYPE_CHECKING:  # their libraries are an extra
    from paritylab.audit.rerun import Rerun
    from paritylab.audit.verify import Bundle

Json = Annotated[Path | None, typer.Option("--json", help="Write the comparison here, as JSON.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write the comparison here, as a page.")]


@contextmanager
def _libraries() -> Iterator[None]:
    """Tell how to get the libraries of the bundle's formats, where they are missing."""
    try:
        yield
    except ModuleNotFoundError as fault:
        if (fault.name or "").split(".")[0] == "paritylab":
            raise
        raise UsageError(
            "evidence bundles need libraries that are not installed",
            why=f"there is no module {fault.name}",
            fix='pip install "paritylab[audit]" (in a checkout: pip install -e ".[audit]")',
        ) from None


def check_packable(target: Path) -> None:
    """Raise UsageError if no bundle could be written there: asked before a long audit."""
    with _libraries():
        import_module("paritylab.audit.bundle")
    check_writable(target, option="--out")


@app.command()
def bundle(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished audit.")],
    target: Annotated[Path, typer.Option("--out", help="The bundle.")] = Path("audit.zip"),
    key: Annotated[
        Path | None, typer.Option("--key", help="Sign with this private key (PEM).")
    ] = None,
) -> None:
    """Pack an audit with all its evidence into one file that others can verify.

    Every installed file of the environments is hashed again, some ten seconds each.

    Example: `paritylab bundle reports/audit --out audit.zip --key key.pem`
    """
    with _libraries():
        from paritylab.audit import bundle as bundles  # noqa: PLC0415
        from paritylab.audit.evidence import gather  # noqa: PLC0415
    evidence = gather(folder, catalog.find_root())
    check_writable(target, option="--out")
    with Display() as progress:
        digest = bundles.write(target, evidence, key=key, progress=progress)
    out.print(f"{target}: sha256:{digest}", markup=False, highlight=False)
    if evidence.audit.partial:
        err.print(f"PARTIAL: {evidence.audit.partial}", style="bold yellow", markup=False)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE", help="An audit.zip.")],
    key: Annotated[
        Path | None, typer.Option("--key", help="The public key (PEM) that must have signed it.")
    ] = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Run the recorded cells here and compare the bits.")
    ] = False,
    engine: Annotated[
        str | None, typer.Option("--engine", help="For --rerun: venv, docker or here.")
    ] = None,
    base: opt.Base = "auto",
    json: Json = None,
    html: Html = None,
) -> None:
    """Check every hash of a bundle, its statement and signature; nothing is trusted or unpacked.

    Exit 2 with the name of what was changed, is missing or was added. With `--rerun` exit 1 when a
    cell has other bits here.

    Examples: `paritylab verify audit.zip`, `paritylab verify audit.zip --key pub.pem --rerun`
    """
    with _libraries():
        from paritylab.audit import outlook, verify as checks  # noqa: PLC0415, I001
    if (json or html) and not rerun:
        raise UsageError(
            "--json and --html belong to --rerun", fix=f"paritylab verify {path} --rerun"
        )
    found = checks.read(path, key=key)
    out.print(outlook.verified(found))
    if not rerun:
        return
    result = _rerun(found, engine, base)
    out.print(outlook.again(result))
    _written(json, outlook.to_json(result.diff))
    _written(html, outlook.to_html(result.diff))
    if not result.reproduced:
        raise typer.Exit(EXIT_RED)


def _rerun(found: Bundle, engine: str | None, base: str) -> Rerun:
    from paritylab.audit.rerun import rerun as run_again  # noqa: PLC0415

    total = sum(1 for cell in found.audit.cells if cell.baseline)
    with Display() as progress:
        task = progress.add_task("running again", total=total)

        def tell(cell: str) -> None:
            progress.update(task, advance=1, last=cell)

        return run_again(found, catalog.find_root(), engine=engine, base=base, tell=tell)


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="A bundle.")],
    after: Annotated[Path, typer.Argument(help="Another bundle.")],
    json: Json = None,
    html: Html = None,
    everything: Annotated[bool, typer.Option("--all", help="Show equal cells, too.")] = False,
) -> None:
    """Compare two bundles: what is equal, what moved and how far, and what goes with it.

    Exit 1 when a cell moved or is in one of them only.

    Example: `paritylab diff laptop.zip cluster.zip --html diff.html`
    """
    with _libraries():
        from paritylab.audit import outlook, verify as checks  # noqa: PLC0415, I001
        from paritylab.audit.diff import diff as compare  # noqa: PLC0415
    bundles = []
    for path in (before, after):
        try:
            bundles.append(checks.read(path))
        except BundleError as fault:
            fault.where = ": ".join(part for part in (str(path), fault.where) if part)
            raise
    found = compare(*bundles)
    out.print(outlook.compared(found, everything=everything))
    _written(json, outlook.to_json(found))
    _written(html, outlook.to_html(found))
    if not found.equal:
        raise typer.Exit(EXIT_RED)


def _written(path: Path | None, content: str | bytes) -> None:
    if path:
        write_file(path, content)
        out.print(f"written: {path}", markup=False, highlight=False)
