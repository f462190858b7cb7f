"""Variations made together: which worker a cell then needs, and what its job is."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from paritylab.audit import injob, look, shim
from paritylab.audit.model import Promise
from paritylab.audit.variations import Variation, found
from paritylab.model import Cell, Limits, WorkerKey
from paritylab.wire import Job

PROBE = Path(look.__file__).read_text(encoding="utf-8")
_HELD_FOLDER = "/tmp/paritylab-held-"  # noqa: S108 - its name is the point
_WRAPPER = """\
import sys as _sys
_module = type(_sys)("paritylab_injob")
_sys.modules[_module.__name__] = _module
exec(compile({injob!r}, "<paritylab injob>", "exec"), _module.__dict__)
_module.run_wrapped(globals(), {source!r}, {stages!r}, {changes!r})
"""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Variations that are made at once; none of them is the baseline.

    ``number`` tells conditions apart that want fresh workers of their own each time.
    """

    variations: tuple[Variation, ...] = ()
    number: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The variations' names, sorted."""
        return tuple(one.name for one in self.variations)

    @property
    def id(self) -> str:
        """The names joined by ``+``, or ``baseline``."""
        return "+".join(self.names) or "baseline"

    @property
    def promise(self) -> Promise:
        """What is promised when all are made: the weakest of the promises."""
        kept = all(one.promise is Promise.BITS for one in self.variations)
        return Promise.BITS if kept else Promise.TOLERANCE

    @property
    def engine(self) -> str | None:
        """The other engine, if there is one."""
        return next((one.engine for one in self.variations if one.engine), None)

    @property
    def workers(self) -> str:
        """``warm``, ``fresh`` or ``each``."""
        asked = {one.workers for one in self.variations}
        return next((kind for kind in ("each", "fresh") if kind in asked), "warm")

    @property
    def backwards(self) -> bool:
        """Whether the cells run in reverse order."""
        return any(one.backwards for one in self.variations)

    @cached_property
    def variables(self) -> dict[str, str | None]:
        """The workers' variables that differ from the profile's."""
        changed: dict[str, str | None] = {}
        for one in self.variations:
            changed |= one.variables
        if any(one.preload for one in self.variations):
            changed[shim.WANTED] = "1"
        return changed

    @property
    def group(self) -> tuple[Any, ...]:
        """Conditions with the same group can be served by the same workers."""
        unique = (self.id, self.number) if self.workers != "warm" else ()
        device = next((one.device for one in self.variations if one.device), "")
        return (
            self.engine or "",
            device,
            self.workers,
            unique,
            *sorted((name, text or "") for name, text in self.variables.items()),
        )

    def applies(self, cell: Cell) -> str | None:
        """Return why the cell is left out, or None."""
        return next((why for one in self.variations if (why := one.applies(cell))), None)

    def cell(self, cell: Cell) -> Cell:
        """The cell that runs: on another device, perhaps."""
        device = next((one.device for one in self.variations if one.device), cell.device)
        return cell if device == cell.device else replace(cell, device=device)

    def key(self, cell: Cell, profile: str) -> WorkerKey:
        """The worker that this cell needs."""
        key = self.cell(cell).worker_key(profile)
        variables: dict[str, str | None] = {**key.variables, **self.variables}
        kept = {name: text for name, text in variables.items() if text is not None}
        return replace(key, variables=kept, jobs=1 if self.workers == "each" else None)

    def changes(self, cell: Cell) -> dict[str, Any]:
        """What is changed in the job; mappings of several variations are merged."""
        merged: dict[str, Any] = {}
        for name, value in itertools.chain.from_iterable(
            one.job.items() for one in self.variations
        ):
            before = merged.get(name)
            merged[name] = {**before, **value} if isinstance(before, dict) else value
        if merged.get("folder"):
            merged["folder"] = _HELD_FOLDER + hashlib.sha256(cell.id.encode()).hexdigest()[:12]
        return merged

    def job(self, job: Job, cell: Cell) -> Job:
        """Return the job under this condition; without changes it is the lab's own file."""
        changes = self.changes(cell)
        return replace(job, source=wrapped(job, changes)) if changes else job

    def probe(self, cell: Cell, *, profile: str) -> Job:
        """A job that tells what one sees under this condition."""
        plain = Job(
            id=f"probe-{self.id}"[:200], file="look.py", source=PROBE, stages=("run",),
            inputs={}, limits=Limits(seconds=60.0), seed=0, profile=profile,
        )  # fmt: skip
        changes = {name: how for name, how in self.changes(cell).items() if name != "load"}
        return replace(plain, source=wrapped(plain, changes))


def wrapped(job: Job, changes: dict[str, Any]) -> str:
    """Return source that makes the changes and then is the job's own."""
    return _WRAPPER.format(
        injob=Path(injob.__file__).read_text(encoding="utf-8"),
        source=job.source,
        stages=job.stages,
        changes=changes,
    )


def combined(names: Iterable[str], number: int = 0) -> Condition:
    """Return the condition of these variations and holds."""
    chosen = sorted(map(found, names), key=lambda one: one.name)
    return Condition(variations=tuple(chosen), number=number)


BASELINE = Condition()
