"""Commands that run cells."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from paritylab import report
from paritylab.accept import accept as accept_lab
from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.cli.elsewhere import Elsewhere, desk_of, elsewhere, run_there
from paritylab.cli.live import engine_and_gpus, progress_over
from paritylab.errors import EXIT_RED, LabError
from paritylab.model import CellResult, Verdict
from paritylab.plan import Chosen, Options, choose, facts
from paritylab.runner import Settings, run_all


@app.command()
def run(
    lab: opt.Labs = None,
    implementation: opt.Implementations = None,
    environment: opt.Environments = None,
    device: opt.Device = "cpu",
    engine: opt.EngineName = "venv",
    base: opt.Base = "auto",
    profile: opt.Profile = "portable",
    seed: opt.Seed = None,
    cold: opt.Cold = False,
    strict_bits: opt.StrictBits = False,
    gpus: opt.Gpus = None,
    smoke: opt.Smoke = False,
    jobs: opt.Jobs = None,
    shard: opt.Shard = None,
    balance_by: opt.BalanceBy = None,
    results: opt.Results = None,
    cluster: opt.Cluster = None,
    cluster_settings: opt.ClusterFile = None,
) -> None:
    """Run cells and print the matrix with verdicts.

    Examples: `paritylab run`, `paritylab run --lab train --environment tf2`,
    `paritylab run --engine docker --base bootstrap`, `paritylab run --engine here --device cuda`,
    `paritylab run --engine docker --device cuda --gpus 0,1`,
    `paritylab run --cluster tcp://scheduler:8786`
    """
    options = Options(
        selection=opt.selection(lab, implementation, environment, device),
        settings=Settings(
            profile=profile, seed=seed, cold=cold, strict_bits=strict_bits, smoke=smoke
        ),
        engine=engine,
        base=base,
        gpus=gpus,
        shard=shard,
        durations=balance_by,
    )
    _report(options, jobs, results, elsewhere(cluster, cluster_settings, jobs=jobs))


@dataclass
class _Outcome:
    """What a run has so far: it outlives the run, however that ends."""

    chosen: Chosen
    results: list[CellResult] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """Images, and hosts of a cluster."""

    def close(self, facts: Mapping[str, Any]) -> None:
        """Put the results into the order of the cells: they came as they ended."""
        places = {cell.id: place for place, cell in enumerate(self.chosen.cells)}
        self.results.sort(key=lambda one: places[one.cell])
        self.facts.update(facts)


def _report(
    options: Options, jobs: int | None, results: Path | None, where: Elsewhere | None
) -> None:
    """Run what the options choose, show it and write it down; what was interrupted, too."""
    chosen = choose(options)
    if results:
        report.check_writable(results)
    outcome = _Outcome(chosen)
    try:
        _run(outcome, options, jobs, where)
    except (KeyboardInterrupt, LabError):
        if ended := len(outcome.results):
            _show(outcome, options, results)
            err.print(f"ended early: {ended} of {len(chosen.cells)} cells ran", style="yellow")
        raise
    _show(outcome, options, results)
    if not report.all_green(outcome.results):
        raise typer.Exit(EXIT_RED)


def _show(outcome: _Outcome, options: Options, results: Path | None) -> None:
    ended, chosen = outcome.results, outcome.chosen
    report.show(out, ended)
    if results:
        ran = {**facts(options), **outcome.facts, **report.gap(ended, chosen.cells)}
        report.write_json(results, report.document(ended, chosen.cells, ran, chosen.origin()))
        out.print(f"results: {results}", style="dim")


def _run(
    outcome: _Outcome, options: Options, jobs: int | None = None, where: Elsewhere | None = None
) -> None:
    """Run the cells of ``outcome``, which has their results even if this raises."""
    # Elsewhere, cells that follow each other and share a worker travel together.
    cells = list(outcome.chosen.cells if where else outcome.chosen.in_turn())
    with ExitStack() as stack:
        if where:
            desk = stack.enter_context(desk_of(where, cells, options))
            stack.callback(lambda: outcome.close({"images": desk.images, "hosts": desk.hosts}))
        else:
            opened, gpus = stack.enter_context(engine_and_gpus(cells, options))
            stack.callback(lambda: outcome.close({"images": dict(getattr(opened, "images", {}))}))
        shown = stack.enter_context(progress_over(len(cells)))

        def done(result: CellResult) -> None:
            outcome.results.append(result)
            shown(result)

        if where:
            run_there(cells, desk, options, done)
        else:
            jobs = jobs or len(os.sched_getaffinity(0))
            run_all(cells, opened, options.settings, jobs=jobs, done=done, gpus=gpus)


@app.command()
def accept(
    lab: opt.Labs = None,
    device: opt.Device = "cpu",
    engine: opt.EngineName = "venv",
    base: opt.Base = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the diff, write nothing.")] = (
        False
    ),
) -> None:
    """Rewrite expected.json from the float64 oracle, if every implementation agrees with it.

    Prints the diff. Refuses (exit 1, nothing written for that lab) while a cell disagrees.

    Examples: `paritylab accept --dry-run`, `paritylab accept --lab train`
    """
    options = Options(
        selection=opt.selection(lab, None, None, device),
        settings=Settings(oracle_only=True),
        engine=engine,
        base=base,
    )
    outcome = _Outcome(choose(options))
    _run(outcome, options)
    cells = outcome.chosen.cells
    results = outcome.results
    refused = False
    for one in {cell.lab.slug: cell.lab for cell in cells}.values():
        acceptance = accept_lab(one, cells, results)
        ran = [r for r in results if r.lab == one.slug and r.verdict is not Verdict.UNSUPPORTED]
        if acceptance.refused or not ran:
            refused = True
            err.print(f"{one.slug}: refused, expected.json stays as it was", style="bold red")
            for line in acceptance.refused or ("no cell of it ran here: nothing agreed",):
                err.print(f"  {line}", markup=False)
            continue
        out.print(f"{one.slug}: {len(acceptance.diff) or 'no'} lines of difference", style="bold")
        for line in acceptance.diff[:60]:
            out.print(f"  {line[:160]}", markup=False, highlight=False, soft_wrap=True)
        if not dry_run:
            acceptance.write()
    _tell_gaps(results)
    if refused:
        raise typer.Exit(EXIT_RED)


def _tell_gaps(results: list[CellResult]) -> None:
    gaps = [r for r in results if r.verdict is Verdict.UNSUPPORTED]
    for message in sorted({f"{r.environment}: {r.message}" for r in gaps}):
        err.print(f"not run: {message}", style="dim", markup=False)
