"""A whole audit: plan, baselines, variations, search for causes, equivalence tests, verdicts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from paritylab import atomic, catalog, checkout, report
from paritylab.audit import durations
from paritylab.audit.model import (
    SCHEMA_VERSION,
    Audit,
    Cause,
    Observation,
    Plan,
    Skipped,
    VariationNote,
    from_json,
    to_json,
)
from paritylab.audit.plan import Planned, Request, covered, estimate, plan, slow
from paritylab.audit.record import Record, gathered, lab_digests
from paritylab.audit.replicates import across_environments, equivalences
from paritylab.audit.run import Workshop
from paritylab.audit.search import Search, shortened
from paritylab.audit.tasks import Ran, Task, timed
from paritylab.audit.tiers import cell_audit
from paritylab.audit.variations import VARIATIONS
from paritylab.errands import Desk
from paritylab.errors import LabError, UsageError
from paritylab.hardware import cpu_class
from paritylab.journal import Journal
from paritylab.model import Cell
from paritylab.plan import Options, facts

DOCUMENT = "audit.json"
JOURNAL = "audit.sqlite"
SEARCH_SECONDS, SEARCH_FACTOR = 20.0, 3.0
"""Deadline of a run that looks for a cause, where the lab allows more: this many seconds, or this
many times what the cell took as it is."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a listener is told: a run of ``total`` of a phase has ended, how, and where."""

    phase: str
    done: int
    total: int
    last: str


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An audit that has not begun: what it will run, and the seconds that may take.

    ``timed`` of the cells were timed on this machine before; the seconds of others are a guess.
    """

    options: Options
    request: Request
    cells: tuple[Cell, ...]
    left_out: tuple[Skipped, ...]
    planned: Planned
    seconds: float
    timed: int


def prepare(cells: Sequence[Cell], options: Options, request: Request, *, jobs: int) -> Prepared:
    """Plan the audit of ``cells``; raises UsageError when none of them can run."""
    ours = tuple(cell for cell in cells if not cell.unsupported)
    if not ours:
        raise UsageError("none of these cells can run", fix="paritylab list")
    planned = plan(ours, request, engine=options.engine)
    profile = options.settings.profile
    known = durations.known()
    seconds = estimate(planned, known, profile=profile, jobs=jobs)
    unsupported = tuple(
        Skipped(variation=None, cell=cell.id, why=cell.unsupported)
        for cell in cells
        if cell.unsupported
    )
    return Prepared(
        options=options, request=request, cells=ours, left_out=unsupported, planned=planned,
        seconds=seconds, timed=sum(cell.id in known for cell in ours),
    )  # fmt: skip


def run_audit(  # noqa: PLR0913 - what, where to, how, and whom to tell
    prepared: Prepared,
    *,
    out: Path,
    resume: bool = False,
    jobs: int | None = None,
    tell: Callable[[Step], None] = lambda _: None,
    desk: Desk | None = None,
) -> Audit:
    """Run what was planned and return the document, which is also in ``out``.

    ``out`` is a folder for the journal, the baselines' outputs and ``audit.json``. Ctrl-C ends it
    with a partial document; ``resume`` goes on with the folder's journal, ``desk`` sends the runs
    to other machines. Raises JournalError, EngineError (for a second kind of CPU, too).
    """
    out.mkdir(parents=True, exist_ok=True)
    settled = _settled(prepared)
    with Journal(out / JOURNAL, kind="audit", facts=settled, resume=resume) as journal:
        record = Record(out, journal, {cell.id: cell for cell in prepared.cells})
        if desk is None:
            record.ran_on(cpu_class())
        with Workshop(prepared.options, jobs=jobs, desk=desk, ran_on=record.ran_on) as workshop:
            audit = _Conductor(prepared, record, workshop, tell).conduct()
            atomic.write(out / DOCUMENT, to_json(audit))
    if not record.hosts:
        durations.learn(audit.observations)
    return audit


def clear_finished(folder: Path) -> None:
    """Make room where a finished audit is; one that can be resumed stays."""
    with suppress(OSError, LabError):
        if from_json((folder / DOCUMENT).read_bytes()).partial is None:
            shutil.rmtree(folder)


def _settled(prepared: Prepared) -> dict[str, Any]:
    """Everything that every run depends on: a resumed audit must have the same."""
    request = prepared.request
    stacks = {
        cell.environment.name: cell.environment.stacks[cell.device] for cell in prepared.cells
    }
    return {
        **facts(prepared.options),
        "device": prepared.cells[0].device,
        "variations": [list(one.variations) for one in prepared.planned.conditions],
        "repeats": request.repeats,
        "audit_seed": request.seed,
        "replicates": request.replicates,
        "labs": lab_digests(prepared.cells),
        "locks": {name: stack.lock_digest for name, stack in stacks.items()},
        "cells": sorted(cell.id for cell in prepared.cells),
        "host": report.host(),
    }


class _Conductor:
    """One audit under way."""

    def __init__(
        self,
        prepared: Prepared,
        record: Record,
        workshop: Workshop,
        tell: Callable[[Step], None],
    ) -> None:
        self._prepared, self._record, self._workshop = prepared, record, workshop
        self._tell = tell
        self._causes: dict[str, tuple[Cause, ...]] = {}
        self._covered = covered(prepared.planned)
        # What a cell took on this machine says nothing of a cluster's hosts.
        self._known = {} if workshop.desk else durations.known()
        # Before the first run: whoever commits meanwhile changes nothing that was audited.
        self._project = checkout.project(prepared.options.root or catalog.find_root())

    def conduct(self) -> Audit:
        partial = None
        try:
            self._workshop.prepare(self._prepared.cells)
            self._plan()
            self._search()
            equivalences(
                self._prepared.cells, self._record, self._workshop,
                count=self._prepared.request.replicates, tell=self._phase("replicates"),
            )  # fmt: skip
        except KeyboardInterrupt:
            planned = self._prepared.planned
            done = sum(map(self._record.knows, (*planned.baselines, *planned.tasks)))
            partial = f"interrupted: {done} of {planned.runs} planned runs were made"
            if done == planned.runs:
                partial = "interrupted while causes were searched: all planned runs were made"
        return self._document(partial)

    def _plan(self) -> None:
        planned = self._prepared.planned
        self._make("plan", (*planned.baselines, *planned.tasks))

    def _search(self) -> None:
        moved = {
            one.cell
            for one in self._record.observations.values()
            if one.moved and one.phase == "plan" and one.variations
        }
        able = [cell for cell in self._prepared.cells if cell.id in moved]
        if able:
            search = Search(self._answers, self._observed)
            self._causes = search.causes(able)

    def _answers(self, tasks: Sequence[Task]) -> dict[str, Observation | None]:
        taken = self._seconds()
        limits = [max(SEARCH_SECONDS, SEARCH_FACTOR * taken.get(t.cell.id, 0.0)) for t in tasks]
        self._make("search for causes", list(map(shortened, tasks, limits)))
        return {task.id: self._record.observation(task) for task in tasks}

    def _observed(self, cell: str) -> list[Observation]:
        return [one for one in self._record.of(cell) if one.phase == "plan"]

    def _make(self, phase: str, tasks: Sequence[Task]) -> None:
        todo = [task for task in tasks if not self._record.knows(task)]
        advance = self._phase(phase, total=len(tasks), done=len(tasks) - len(todo))

        def done(ran: Ran) -> None:
            seen = self._record.take(ran, self._workshop.problem(ran.task.cell))
            outcome = seen.outcome if seen else "skipped"
            advance(f"{ran.task.cell.id} under {ran.task.condition.id}: {outcome}")

        self._workshop.run(todo, timed(done), self._wanted)

    def _wanted(self, task: Task) -> bool:
        """Whether a task is worth its time, now that the baselines are known."""
        if self._record.baseline(task.cell.id) is None:
            return False  # a cell that fails as it is has nothing that could be varied
        if task.phase != "plan" or task.condition.names not in self._covered:
            return True
        taken = slow(self._seconds()).get(task.cell.id)
        if taken is None:
            return True
        why = f"a run takes {taken:.0f} s: asked for together with all others, not alone"
        self._record.spare(task, why)
        return False

    def _seconds(self) -> dict[str, float]:
        """What each cell takes as it is."""
        runs = self._record.observations.values()
        seen = {o.cell: o.seconds for o in runs if not o.variations and o.phase == "plan"}
        return durations.usual(seen, self._known)

    def _phase(self, phase: str, *, total: int = 0, done: int = 0) -> Callable[[str], None]:
        count = done

        def advance(last: str) -> None:
            nonlocal count
            count += 1
            self._tell(Step(phase=phase, done=count, total=total or count, last=last))

        return advance

    def _document(self, partial: str | None) -> Audit:
        prepared, record = self._prepared, self._record
        compared = across_environments(prepared.cells, record, prepared.planned.compared)
        observations = (*record.observations.values(), *compared)
        by_cell = {cell.id: [*self._observed(cell.id)] for cell in prepared.cells}
        for one in compared:
            by_cell[one.cell].append(one)
        sizes = {"+".join(one.variations): one.cells for one in prepared.planned.conditions}
        skipped = (*prepared.left_out, *prepared.planned.skipped)
        ran = {"images": self._workshop.images, "project": self._project, **record.cluster}
        return Audit(
            schema_version=SCHEMA_VERSION,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            paritylab=version("paritylab"),
            partial=partial,
            facts=_settled(prepared) | ran,
            variations=_notes(observations),
            plan=Plan(
                conditions=prepared.planned.conditions,
                runs=prepared.planned.runs,
                estimated_seconds=round(prepared.seconds, 1),
                seed=prepared.request.seed,
            ),
            cells=tuple(
                cell_audit(
                    cell,
                    by_cell[cell.id],
                    baseline=record.baselines.get(cell.id),
                    profile=prepared.options.settings.profile,
                    causes=self._causes.get(cell.id, ()),
                    equivalences=record.equivalences(cell.id) or (),
                )
                for cell in prepared.cells
            ),
            observations=observations,
            skipped=(*skipped, *gathered(list(record.skipped.values()), sizes)),
        )


def _notes(observations: Sequence[Observation]) -> tuple[VariationNote, ...]:
    """Every variation that took place, in the order of their declaration."""
    seen = {name for one in observations for name in one.variations}
    return tuple(
        VariationNote(name=name, changes=one.changes, promise=one.promise)
        for name, one in VARIATIONS.items()
        if name in seen
    )
