"""The command that grades submissions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from paritylab.cli import options as opt
from paritylab.cli.app import app, err, out
from paritylab.cli.elsewhere import elsewhere, grading_desk
from paritylab.errors import EXIT_ENGINE, LabError
from paritylab.grade import rules, seeds
from paritylab.grade.lanes import Isolation
from paritylab.grade.model import Grade, Reveal
from paritylab.grade.request import Outcome, Request, perform
from paritylab.grade.run import Question, Watch
from paritylab.grade.trial import Trial
from paritylab.progress import Display

SHOWN = 40
"""Grades that the terminal shows; the files have them all."""


Handed = Annotated[
    Path, typer.Argument(help="A folder with a submission (archives, too) per student.")
]
LabName = Annotated[str, typer.Option("--lab", help="The lab that was set.")]
Out = Annotated[Path, typer.Option("--out", help="Where the grades and the journal go.")]
For = Annotated[str, typer.Option("--for", help="pytorch,tf2; default: all of the rubric.")]
Isolated = Annotated[
    Isolation,
    typer.Option(
        "--isolation", help="container: fresh ones per submission; fork: fresh namespaces in one."
    ),
]
Runtime = Annotated[
    str | None, typer.Option(help="Another runtime of the engine: runsc is gVisor.")
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Submissions at a time; default: what fits."),
]
Seeds = Annotated[str, typer.Option("--seeds", help="1,2,3: repeat a run; default: drawn anew.")]
Repeat = Annotated[int, typer.Option(help="Ask everything so often; what moves is flagged.")]
Revealed = Annotated[Reveal, typer.Option(help="Hidden values in the students' feedback.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue what was interrupted.")]
Only = Annotated[list[str] | None, typer.Option(help="Only this student (id or name); repeatable.")]
Regrade = Annotated[list[str] | None, typer.Option(help="Grade this student again; repeatable.")]
Names = Annotated[Path | None, typer.Option(help="A submissions.csv with names.")]
Attempt = Annotated[str, typer.Option(help="Which attempt counts: last or first.")]
LateAfter = Annotated[str, typer.Option(help="The deadline: 2026-11-22T23:59+01:00.")]
LatePenalty = Annotated[str, typer.Option(help="What lateness costs: 0.1/day, 0.02/hour.")]
Engine = Annotated[
    str, typer.Option("--engine", help="docker; there is no other for strangers' code.")
]


@app.command()
def grade(
    path: Handed,
    lab: LabName,
    folder: Out = Path("grades"),
    implementations: For = "",
    isolation: Isolated = Isolation.CONTAINER,
    runtime: Runtime = None,
    jobs: Jobs = None,
    hidden: Seeds = "",
    repeat: Repeat = 1,
    reveal: Revealed = Reveal.NONE,
    resume: Resume = False,
    only: Only = None,
    regrade: Regrade = None,
    names: Names = None,
    attempt: Attempt = "last",
    late_after: LateAfter = "",
    late_penalty: LatePenalty = "",
    base: opt.Base = "auto",
    engine: Engine = "docker",
    cluster: opt.Cluster = None,
    cluster_settings: opt.ClusterFile = None,
) -> None:
    """Grade submissions on hidden inputs, each in a sandbox of its own.

    Every finished part is on the disk before the next begins: after Ctrl-C, a crash or trouble
    with the engine, the same command with `--resume` goes on. Exit 3 while something could not be
    graded.

    Examples: `paritylab grade submissions/ --lab train --out grades/`,
    `paritylab grade submissions/ --lab train --out grades/ --resume`,
    `paritylab grade submissions/ --lab train --out grades/ --isolation fork --repeat 2`,
    `paritylab grade submissions/ --lab train --out grades/ --cluster tcp://scheduler:8786`
    """
    where = elsewhere(cluster, cluster_settings, jobs=jobs)
    rule = rules.attempt_rule(attempt, late_after or None, late_penalty or None)
    request = Request(
        path=path, lab=lab, out=folder, implementations=_words(implementations),
        isolation=isolation, runtime=runtime, jobs=jobs,
        seeds=seeds.parse(hidden) if hidden else (), repeats=repeat, reveal=reveal, resume=resume,
        only=tuple(only or ()), regrade=tuple(regrade or ()), names=names, rule=rule, base=base,
        engine=engine,
    )  # fmt: skip
    with _watching() as (progress, watch):
        outcome = perform(request, watch, progress, desk_of=grading_desk(where, request))
    _tell(outcome)
    if outcome.ungraded:
        raise typer.Exit(EXIT_ENGINE)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


@contextmanager
def _watching() -> Iterator[tuple[Display, Watch]]:
    with Display() as display:
        task = display.add_task("trials", total=None, alike=True, last="preparing sandboxes")

        def done(question: Question, answer: Trial | LabError) -> None:
            status = answer.status if isinstance(answer, Trial) else "not graded"
            shown = f"{question.student} {question.implementation}: {status}"
            display.update(task, advance=1, last=shown)

        def planned(number: int) -> None:
            display.update(task, total=number, last="waiting for the first")

        yield display, Watch(planned=planned, done=done)


def _tell(outcome: Outcome) -> None:
    out.print(_table(outcome.grades))
    shown = ", ".join(str(seed) for seed in outcome.seeds)
    out.print(f"hidden seeds: {shown} (again: --seeds {shown.replace(' ', '')})", style="dim")
    for line in _places(outcome.files):
        out.print(line, style="dim", markup=False)
    for line in outcome.ungraded:
        err.print(f"not graded: {line}", style="red", markup=False)
    if outcome.ungraded:
        err.print("once the engine is well: the same command with --resume", style="red")


def _places(files: tuple[Path, ...]) -> list[str]:
    """The files of the whole class by name, those of each student as a folder with their number."""
    top = min((len(file.parts) for file in files), default=0)
    folders = Counter(Path(*file.parts[:top]) for file in files if len(file.parts) > top)
    named = [str(file) for file in files if len(file.parts) == top]
    return [*named, *(f"{folder}/ ({count} files)" for folder, count in folders.items())]


def _table(grades: tuple[Grade, ...]) -> Table:
    table = Table("student", "score", "of", "seconds", "remarks", title="Grades")
    for one in grades[:SHOWN]:
        remarks = [f"unstable: {', '.join(one.unstable)}"] if one.unstable else []
        remarks += one.suspicious
        table.add_row(
            Text(one.submission.student),
            f"{one.score:g}",
            f"{one.points:g}",
            f"{one.seconds:.1f}",
            Text("; ".join(remarks)[:120]),
        )
    if len(grades) > SHOWN:
        table.caption = f"and {len(grades) - SHOWN} more"
    return table
