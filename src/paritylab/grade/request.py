"""A whole grading run: from a folder of submissions to a folder of grades."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.progress import Progress

from paritylab import catalog
from paritylab.errands import Desk
from paritylab.errors import SubmissionError, UsageError, nearest
from paritylab.grade import outputs, seeds, submissions
from paritylab.grade.gradebook import gradebook
from paritylab.grade.lanes import Isolation
from paritylab.grade.model import Grade, Reveal, Submission
from paritylab.grade.plan import PROFILE, Plan
from paritylab.grade.rules import AttemptRule
from paritylab.grade.run import Watch
from paritylab.grade.sandboxes import Sandboxes
from paritylab.grade.trial import units_of
from paritylab.grade.ways import elsewhere, here
from paritylab.journal import Journal
from paritylab.model import Environment, Lab
from paritylab.rubric import Rubric

JOURNAL = "journal.sqlite"
KIND = "grade"
MOST_REPEATS = 100


@dataclass(frozen=True, kw_only=True)
class Request:
    """What an instructor chose; every field has the default of the command line.

    ``implementations`` empty takes the rubric's, ``seeds`` empty draws new ones (or takes those of
    the journal that is resumed). ``only`` and ``regrade`` hold students' ids or names.
    """

    path: Path
    lab: str
    out: Path
    implementations: tuple[str, ...] = ()
    isolation: Isolation = Isolation.CONTAINER
    runtime: str | None = None
    jobs: int | None = None
    seeds: tuple[int, ...] = ()
    repeats: int = 1
    reveal: Reveal = Reveal.NONE
    resume: bool = False
    only: tuple[str, ...] = ()
    regrade: tuple[str, ...] = ()
    names: Path | None = None
    rule: AttemptRule = field(default_factory=AttemptRule)
    base: str = "auto"
    engine: str = "docker"
    root: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run gave: ``ungraded`` says, student by student, what the engine could not run."""

    grades: tuple[Grade, ...]
    files: tuple[Path, ...]
    seeds: tuple[int, ...]
    ungraded: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Course:
    """What was read before anything runs."""

    lab: Lab
    rubric: Rubric
    environment: Environment
    implementations: tuple[str, ...]
    submissions: list[Submission]


DeskOf = Callable[[Plan], AbstractContextManager[Desk]]


def perform(
    request: Request,
    watch: Watch,
    progress: Progress | None = None,
    *,
    desk_of: DeskOf | None = None,
) -> Outcome:
    """Read, grade what is not graded yet, write the gradebook.

    ``desk_of`` opens a cluster to grade on, instead of this machine. Raises UsageError,
    SubmissionError, CatalogError, JournalError for wrong input and EngineError when there is no
    place to run anything. Ctrl-C writes what there is and propagates.
    """
    _check(request)
    course = _course(request)
    chosen = _chosen(course.submissions, request.only)
    again = _chosen(course.submissions, request.regrade) if request.regrade else []
    with _journal(request, course) as journal, ExitStack() as stack:
        plan = Plan(
            lab=course.lab,
            environment=course.environment,
            implementations=course.implementations,
            seeds=tuple(int(seed) for seed in journal.facts["seeds"]),
            repeats=request.repeats,
        )
        if desk_of:
            way = elsewhere(stack.enter_context(desk_of(plan)))
        else:
            boxes = _boxes(request, plan)
            plan = replace(plan, jobs=request.jobs or boxes.places(len(plan.worker_keys())))
            way = here(boxes, plan, request.isolation, progress)
        for submission in again:
            journal.forget(units_of(submission.student))
        book = _Book(request, plan, journal, way.facts, progress)
        try:
            graded = way.grade(chosen, plan, journal, watch)
        except KeyboardInterrupt:
            book.write(gradebook(chosen, plan, journal))
            raise
        rest = [one for one in course.submissions if one not in chosen]
        grades = (*graded, *book.begun(rest))
        files = tuple(book.write(grades))
        return Outcome(grades=grades, files=files, seeds=plan.seeds, ungraded=_ungraded(graded))


def _boxes(request: Request, plan: Plan) -> Sandboxes:
    return Sandboxes(
        plan.lab.limits, isolation=request.isolation, base=request.base, runtime=request.runtime
    )


def plan_for(lab: str, implementations: tuple[str, ...], asked: tuple[int, ...]) -> Plan:
    """A plan for a graded lab of the project at hand; raises UsageError, SubmissionError."""
    found, rubric, environment = _gradable(catalog.find_root(), lab, implementations)
    return Plan(
        lab=found,
        environment=environment,
        implementations=implementations or rubric.implementations,
        seeds=asked,
    )


class _Book:
    """Writes grades to the folder, with what is known of the run as a whole."""

    def __init__(
        self,
        request: Request,
        plan: Plan,
        journal: Journal,
        where: Callable[[], dict[str, Any]],
        progress: Progress | None,
    ) -> None:
        self._request, self._plan, self._journal, self._where = request, plan, journal, where
        self._progress = progress

    def begun(self, submissions: Sequence[Submission]) -> list[Grade]:
        """The grades of those of whom an earlier run has graded something."""
        known = {unit.partition("/")[0] for unit in self._journal.done()}
        return gradebook([s for s in submissions if s.student in known], self._plan, self._journal)

    def write(self, grades: Sequence[Grade]) -> list[Path]:
        """Write every file of the gradebook; return their paths."""
        request = self._request
        facts = {
            "engine": request.engine, "isolation": str(request.isolation),
            "runtime": request.runtime or "the engine's default",
            "seeds": list(self._plan.seeds), "repeats": self._plan.repeats, **self._where(),
        }  # fmt: skip
        if self._progress:  # programs are compared pair by pair: a large class waits for it
            self._progress.add_task("grades", total=None, last="comparing programs, writing files")
        out, reveal = request.out, request.reveal
        return outputs.write(grades, self._plan.lab, out, reveal=reveal, facts=facts)


def _ungraded(grades: Sequence[Grade]) -> tuple[str, ...]:
    return tuple(
        f"{one.submission.student}: {'; '.join(one.facts['ungraded'])}"
        for one in grades
        if one.facts["ungraded"]
    )


def _check(request: Request) -> None:
    if request.engine != "docker":
        raise UsageError(
            f"submissions are not run by the engine `{request.engine}`",
            why="strangers' code runs in a sandbox only, never with your own rights",
            fix="leave out --engine; without Docker there is no grading on this machine",
        )
    if not 1 <= request.repeats <= MOST_REPEATS:
        raise UsageError(f"--repeat {request.repeats} is out of range", why=f"1 to {MOST_REPEATS}")


def _gradable(
    root: Path, name: str, implementations: tuple[str, ...]
) -> tuple[Lab, Rubric, Environment]:
    loaded = catalog.load(root, labs=(name,))
    lab = loaded.labs[name]
    if lab.rubric is None:
        raise SubmissionError(
            "the lab has no rubric",
            where=f"labs/{lab.slug}/lab.toml: grading",
            fix="add a table [grading]: implementations, environment, seeds",
        )
    for wanted in implementations:
        if wanted not in lab.rubric.implementations:
            why = nearest(wanted, lab.rubric.implementations)
            raise UsageError(f"{wanted} is not graded in {lab.slug}", why=why)
    return lab, lab.rubric, loaded.environments[lab.rubric.environment]


def _course(request: Request) -> _Course:
    root = request.root or catalog.find_root()
    lab, rubric, environment = _gradable(root, request.lab, request.implementations)
    implementations = request.implementations or rubric.implementations
    found = submissions.read(
        request.path,
        lab,
        implementations=implementations,
        names=request.names,
        rule=request.rule,
    )
    if not found:
        raise SubmissionError("holds no submission", where=str(request.path))
    return _Course(
        lab=lab,
        rubric=rubric,
        environment=environment,
        implementations=implementations,
        submissions=found,
    )


def _chosen(found: Sequence[Submission], wanted: Sequence[str]) -> list[Submission]:
    """The submissions of these students, all if none is named; raises UsageError."""
    chosen: list[Submission] = []
    for text in wanted:
        one = [s for s in found if text in (s.student, s.name)]
        if not one:
            valid = {word for s in found for word in (s.student, s.name)}
            raise UsageError(f"no submission of `{text}`", why=nearest(text, valid))
        chosen += [s for s in one if s not in chosen]
    return chosen if wanted else list(found)


def _journal(request: Request, course: _Course) -> Journal:
    """Open the journal; its seeds are those given, those it has, or drawn now."""
    request.out.mkdir(parents=True, exist_ok=True)
    path = request.out / JOURNAL
    resume = request.resume or bool(request.regrade)
    asked = list(request.seeds)
    if not asked and resume and path.exists():
        with Journal(path, kind=KIND, facts=None, resume=True) as earlier:
            asked = list(earlier.facts["seeds"])
    facts = {**_facts(course), "seeds": asked or list(seeds.draw(course.rubric.seeds))}
    return Journal(path, kind=KIND, facts=facts, resume=resume)


def _facts(course: _Course) -> dict[str, Any]:
    """What every trial in a journal depends on; what it is worth is no part of that."""
    specs = sorted(
        (s.name, s.dtype, s.shape, str(s.compare), s.rtol, s.atol, s.steps, s.partial)
        for s in course.lab.outputs.values()
    )
    asked = course.lab.scenario.read_bytes() + repr(specs).encode()
    return {
        "lab": course.lab.slug,
        "asked": hashlib.sha256(asked).hexdigest(),
        "environment": course.environment.name,
        "lock": course.environment.stacks["cpu"].lock_digest,
        "profile": PROFILE,
    }
