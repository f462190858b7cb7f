"""Commands that set an assignment, and that a student checks its work with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from paritylab import catalog
from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.engines.here import local_environment
from paritylab.errors import EXIT_RED
from paritylab.fleet import LocalFleet
from paritylab.grade import assign as assigning
from paritylab.grade import assignment as public
from paritylab.grade import layouts, local
from paritylab.grade import submissions as reading
from paritylab.grade.assign import Choice
from paritylab.grade.assignment import Assignment
from paritylab.grade.model import Check, Submission
from paritylab.grade.plan import Plan
from paritylab.grade.rules import attempt_rule
from paritylab.grade.submissions import in_folder
from paritylab.plan import Options, open_engine
from paritylab.progress import Display

LAST_WORDS = 12
"""Lines of what a program said last that are shown."""


Chosen = Annotated[str, typer.Option("--for", help="pytorch,tf2; default: all that are graded.")]
Out = Annotated[Path, typer.Option("--out", help="The student's folder.")]
Notebook = Annotated[
    bool, typer.Option("--notebook", help="Starters as notebooks instead of .py files.")
]
Seeds = Annotated[
    int, typer.Option("--public-seeds", min=1, max=10, help="Inputs that students check on.")
]
Package = Annotated[
    str, typer.Option(help="What students give to `pip install`: a name, a URL or a wheel.")
]
Verify = Annotated[
    bool,
    typer.Option("--verify/--no-verify", help="Run solution and starter: all points, and none."),
]


@app.command()
def assign(
    lab: Annotated[str, typer.Argument(help="The lab to set.")],
    folder: Out = Path("assignment"),
    implementations: Chosen = "",
    notebook: Notebook = False,
    seeds: Seeds = assigning.PUBLIC_SEEDS,
    package: Package = "paritylab",
    verify: Verify = True,
    engine: opt.EngineName = "venv",
    base: opt.Base = "auto",
) -> None:
    """Make a student's folder of a lab: starters, task, public checks, environment.

    Refuses while the model solution does not earn every point, or the starter earns any.

    Example: `paritylab assign train --for pytorch,tf2 --out assignment/`
    """
    options = Options(engine=engine, base=base).check()
    loaded = catalog.load(catalog.find_root(), labs=(lab,))
    chosen = loaded.labs[lab]
    choice = Choice(
        implementations=assigning.graded(chosen, _words(implementations)),
        notebook=notebook,
        package=package,
        seeds=seeds,
    )
    assigning.check_target(folder)
    composed = assigning.compose(chosen, loaded.environments, choice)
    if verify:
        with _running(composed, options) as (here, fleet, done):
            assigning.verify(chosen, here, fleet, done)
        out.print("model solution: every point; starter: none", style="green")
    for path in assigning.write(chosen, composed, choice, folder):
        out.print(f"{folder / path}", style="dim", markup=False, highlight=False)
    out.print(f"next: hand out {folder}, then paritylab grade submissions/ --lab {lab}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="The assignment's folder.")] = Path(),
    implementations: Chosen = "",
    engine: opt.EngineName = "venv",
    base: opt.Base = "auto",
) -> None:
    """Check your own solution of an assignment, on this machine, with its public inputs.

    Exit codes: 0 every point, 1 not every point, 2 the folder is wrong, 3 the frameworks cannot
    be run.

    Examples: `paritylab check`, `paritylab check --engine here`, `paritylab check --for tf2`
    """
    options = Options(engine=engine, base=base).check()
    read = public.narrowed(public.read(folder), _words(implementations))
    handed = in_folder(folder, read.implementations)
    for note in handed.notes:
        err.print(note, style="yellow", markup=False)
    for fault in handed.faults:
        err.print(fault, style="red", markup=False)
    with _running(read, options) as (here, fleet, done):
        found = local.check(here, handed.sources, fleet, done)
    out.print(_table(found.checks))
    _tell(found, read)
    complete = len(handed.sources) == len(read.implementations)
    if not complete or not all(one.passed for one in found.checks):
        raise typer.Exit(EXIT_RED)


@app.command()
def submissions(
    path: Annotated[Path, typer.Argument(help="A folder with one submission per student.")],
    lab: Annotated[str, typer.Option("--lab", help="The lab that was set.")],
    implementations: Chosen = "",
    names: Annotated[Path | None, typer.Option(help="A submissions.csv with names.")] = None,
    attempt: Annotated[str, typer.Option(help="Which attempt counts: last or first.")] = "last",
    late_after: Annotated[str, typer.Option(help="The deadline: 2027-01-31T23:59+01:00.")] = "",
    late_penalty: Annotated[str, typer.Option(help="What lateness costs: 0.1/day.")] = "",
) -> None:
    """Show what a folder of submissions holds and what the rules make of it; nothing is run.

    Exit code 1 if a submission has a fault.

    Example: `paritylab submissions handed-in/ --lab train --late-after 2027-01-31`
    """
    chosen = catalog.load(catalog.find_root(), labs=(lab,)).labs[lab]
    rule = attempt_rule(attempt, late_after or None, late_penalty or None)
    wanted = assigning.graded(chosen, _words(implementations))
    layout, _ = layouts.attempts(path)
    found = reading.read(path, chosen, implementations=wanted, names=names, rule=rule)
    rules = Table("case", "what happens", title=f"Rules; layout: {layout}", title_justify="left")
    for row in rule.table():
        rules.add_row(*row)
    out.print(rules, _handed_in(found))
    faulty = sum(bool(one.faults) for one in found)
    out.print(f"{len(found)} submissions, {faulty} with a fault")
    if faulty:
        raise typer.Exit(EXIT_RED)


def _handed_in(found: list[Submission]) -> Table:
    table = Table("student", "name", "files", "handed in", "penalty", "remarks")
    for one in found:
        remarks = [Text(fault, style="red") for fault in one.faults]
        remarks += [Text(note, style="dim") for note in one.notes]
        late = f"{one.penalty:.0%}" if one.penalty else "late" if one.late else ""
        table.add_row(
            Text(one.student), Text(one.name), ", ".join(one.sources), one.submitted, late,
            Text("\n").join(remarks),
        )  # fmt: skip
    return table


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


@contextmanager
def _running(
    assignment: Assignment, options: Options
) -> Iterator[tuple[Assignment, LocalFleet, Callable[[str], None]]]:
    """Open an engine for an assignment's own environment (or for this interpreter)."""
    if options.engine == "here":
        assignment = public.elsewhere(assignment, local_environment())
    plan = Plan(
        lab=assignment.lab,
        environment=assignment.environment,
        implementations=assignment.implementations,
        seeds=(),
    )
    opened = open_engine(options)
    try:
        opened.prepare(plan.worker_keys())
        with LocalFleet(opened) as fleet, Display() as shown:
            task = shown.add_task("programs", total=None, last="importing the frameworks")
            yield assignment, fleet, lambda trial: shown.update(task, last=trial)
    finally:
        opened.close()


def _table(checks: tuple[Check, ...]) -> Table:
    table = Table("check", "points", "of", "result", "what")
    before = ""
    for one in checks:
        words = one.words
        if one.divergence:
            words += f": expected {one.divergence.expected:.12}, got {one.divergence.got:.12}"
        colour = "green" if one.passed and one.points else "yellow" if one.earned else "red"
        shown = "" if one.passed else "the same" if words == before else words
        before = words
        table.add_row(
            Text(one.id), f"{one.earned:.3g}", f"{one.points:g}", Text(one.verdict, style=colour),
            Text(shown),
        )  # fmt: skip
    return table


def _tell(found: local.Checked, assignment: Assignment) -> None:
    wrong = {one.implementation for one in found.checks if not one.passed}
    for name in sorted(wrong):
        words = found.streams.get(name, "").splitlines()[-LAST_WORDS:]
        if words:
            out.print(f"{name} said last:", style="bold")
            out.print(Text("\n".join(words)))
    seeds = ", ".join(str(question.seed) for question in assignment.questions)
    out.print(f"{found.earned:.4g} of {found.points:g} points on the public inputs (seeds {seeds})")
