"""Commands that audit: how far labs reproduce, and whether an audit would notice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from paritylab import catalog
from paritylab.audit import conduct, power, show
from paritylab.audit.conduct import Prepared, Step
from paritylab.audit.model import Audit
from paritylab.audit.plan import Request
from paritylab.audit.variations import VARIATIONS
from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.cli.elsewhere import auditing_desk, elsewhere
from paritylab.cli.evidence import bundle, check_packable
from paritylab.errands import Desk
from paritylab.errors import EXIT_INTERRUPTED, EXIT_RED, UsageError
from paritylab.folders import renew
from paritylab.plan import Options, cells_of
from paritylab.progress import Phases
from paritylab.runner import Settings

OUT = Path("reports/audit")
Variations = Annotated[
    list[str] | None,
    typer.Option("--variation", help="Only this variation; repeatable. See --list."),
]
Repeats = Annotated[int, typer.Option(min=1, help="Runs per cell and variation.")]
Pairs = Annotated[int, typer.Option(min=0, help="Seeded pairs of variations besides.")]
Seed = Annotated[int, typer.Option(min=0, help="Which pairs.")]
Target = Annotated[
    Path,
    typer.Option("--out", help="Folder for journal, document and outputs; or a bundle, *.zip."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is there.")]
Listed = Annotated[bool, typer.Option("--list", help="Print the variations and end.")]


@app.command()
def audit(
    lab: opt.Labs = None,
    implementation: opt.Implementations = None,
    environment: opt.Environments = None,
    device: opt.Device = "cpu",
    engine: opt.EngineName = "venv",
    base: opt.Base = "auto",
    profile: opt.Profile = "portable",
    variation: Variations = None,
    repeats: Repeats = 1,
    pairs: Pairs = 2,
    seed: Seed = 0,
    target: Target = OUT,
    resume: Resume = False,
    jobs: opt.Jobs = None,
    listed: Listed = False,
    cluster: opt.Cluster = None,
    cluster_settings: opt.ClusterFile = None,
) -> None:
    """Run cells again under controlled changes; say how far each reproduces, and why not further.

    Exit 1 when a cell does not keep what it declares, 130 when interrupted (`--resume` goes on).

    Examples: `paritylab audit`, `paritylab audit --lab train --variation threads`,
    `paritylab audit --list`
    """
    if listed:
        out.print(_variations())
        return
    if target.suffix == ".zip":
        _check_bundle(target, cluster)
    chosen = opt.selection(lab, implementation, environment, device)
    settings = Settings(profile=profile)
    options = Options(selection=chosen, settings=settings, engine=engine, base=base)
    request = Request(
        variations=tuple(variation or ()), repeats=repeats, pairs=pairs, seed=seed,
        together=not variation or len(variation) > 1,
    )  # fmt: skip
    where = elsewhere(cluster, cluster_settings, jobs=jobs)
    jobs = jobs or len(os.sched_getaffinity(0))
    cells = cells_of(options)
    prepared = conduct.prepare(cells, options, request, jobs=jobs)
    out.print(show.outline(prepared, jobs=jobs))
    folder = _folder(target, resume=resume)
    with auditing_desk(where, cells, options) as desk:
        document = _conducted(prepared, folder, resume=resume, jobs=jobs, desk=desk)
    _finish(document, folder, target)


def _check_bundle(target: Path, cluster: str | None) -> None:
    """Raise UsageError if the audit could not be packed: asked before it runs."""
    if cluster:
        raise UsageError(
            "an audit on a cluster cannot be packed",
            why="a bundle tells kernel, engine and installed files of one machine, this one",
            fix=f"--out {target.with_suffix('')}; or without --cluster, on one of its hosts",
        )
    check_packable(target)


def _folder(target: Path, *, resume: bool) -> Path:
    """Where an audit is written; a finished one makes room in the usual place."""
    folder = target.with_suffix("") if target.suffix == ".zip" else target
    if folder == OUT and not resume:
        conduct.clear_finished(folder)
    return folder


def _finish(document: Audit, folder: Path, target: Path) -> None:
    """Print what was found, pack it if asked for, and exit by what was found."""
    out.print(show.summary(document))
    out.print(f"document: {folder / conduct.DOCUMENT}", style="dim")
    if folder != target:
        bundle(folder, target, key=None)
    if document.partial:
        err.print(f"go on with: the same command and --resume ({folder})", style="yellow")
        raise typer.Exit(EXIT_INTERRUPTED)
    if not document.reached:
        raise typer.Exit(EXIT_RED)


@app.command(name="audit-power")
def audit_power(
    labs: opt.Labs = None,
    environment: Annotated[str, typer.Option(help="Where planted and clean labs run.")] = "tf2",
    folder: Annotated[
        Path, typer.Option("--out", help="Folder for the two audits; it is written anew.")
    ] = Path("reports/audit-power"),
    clean: Annotated[bool, typer.Option(help="Count false alarms on clean labs, too.")] = True,
    jobs: opt.Jobs = None,
) -> None:
    """Measure the audit itself: planted causes that it names, false alarms on clean labs.

    Exit 1 when a cause is missed, another is blamed, or a clean run raises an alarm.

    Example: `paritylab audit-power`
    """
    jobs = jobs or len(os.sched_getaffinity(0))
    renew(folder)
    missed = _planted(labs, environment, folder / "planted", jobs)
    alarms = _clean(environment, folder / "clean", jobs) if clean else 0
    if missed or alarms:
        raise typer.Exit(EXIT_RED)


def _planted(labs: list[str] | None, environment: str, folder: Path, jobs: int) -> int:
    """Audit the planted labs; return how many were not rightly named."""
    root = catalog.find_root() / power.PLANTED
    options = Options(selection=opt.selection(labs, None, [environment], "cpu"), root=root)
    request = Request(variations=power.variations())
    cells = cells_of(options)
    planted = [power.read_planted(one) for one in {c.lab.slug: c.lab for c in cells}.values()]
    for one in planted:
        one.clean()
    try:
        prepared = conduct.prepare(cells, options, request, jobs=jobs)
        document = _conducted(prepared, folder, resume=False, jobs=jobs)
    finally:
        for one in planted:
            one.clean()
    _stop_if_partial(document)
    found = power.detections(document, planted)
    table = Table("planted", "named", "what the audit says")
    for detection in found:
        mark = "yes" if detection.named else "NO"
        wrong = f" (blames {', '.join(detection.wrong)})" if detection.wrong else ""
        table.add_row(detection.lab, mark + wrong, show.plain(detection.told))
    out.print(table)
    named = sum(one.named for one in found)
    right = sum(one.named and not one.wrong for one in found)
    out.print(f"detection power: {named} of {len(found)} causes named", style="bold")
    return len(found) - right


def _clean(environment: str, folder: Path, jobs: int) -> int:
    """Audit clean labs; return the number of false alarms."""
    options = Options(selection=opt.selection(None, None, [environment], "cpu"))
    request = Request(variations=power.variations())
    cells = power.enough([cell for cell in cells_of(options) if not cell.unsupported])
    prepared = conduct.prepare(cells, options, request, jobs=jobs)
    document = _conducted(prepared, folder, resume=False, jobs=jobs)
    _stop_if_partial(document)
    alarms = power.false_alarms(document)
    for one in alarms:
        under = "+".join(one.variations)
        err.print(f"{one.cell} under {under}: {one.outcome} {one.message}", markup=False)
    count = power.clean_runs(document)
    out.print(f"false alarms: {len(alarms)} in {count} clean runs", style="bold")
    if count < power.CLEAN_RUNS:
        err.print(f"{count} runs are too few: {power.CLEAN_RUNS} are wanted", style="red")
        return max(1, len(alarms))
    return len(alarms)


def _stop_if_partial(document: Audit) -> None:
    if document.partial:
        err.print(document.partial, style="yellow")
        raise typer.Exit(EXIT_INTERRUPTED)


def _conducted(
    prepared: Prepared, folder: Path, *, resume: bool, jobs: int, desk: Desk | None = None
) -> Audit:
    with Phases("plan") as phases:

        def tell(step: Step) -> None:
            phases.tell(step.phase, done=step.done, total=step.total, last=step.last)

        return conduct.run_audit(
            prepared, out=folder, resume=resume, jobs=jobs, tell=tell, desk=desk
        )


def _variations() -> Table:
    table = Table("variation", "what is changed", "promised", "made without being asked for")
    for name, one in VARIATIONS.items():
        table.add_row(name, one.changes, one.promise, "yes" if one.standard else "")
    return table
