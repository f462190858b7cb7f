"""What an audit has seen so far: durable in a journal run by run, with the baselines' outputs."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from paritylab.audit import arrays
from paritylab.audit.conditions import BASELINE
from paritylab.audit.model import (
    Equivalence,
    Observation,
    Outcome,
    Skipped,
    observation_from_plain,
    observation_to_plain,
)
from paritylab.audit.observe import Values, kept, observe
from paritylab.audit.tasks import Ran, Task
from paritylab.errors import EngineError
from paritylab.journal import Journal
from paritylab.model import Cell, Verdict
from paritylab.scenarios import Problem

BASELINES = "baselines"
PLACE = "place"
"""The journal's unit that tells on which CPU, and on which hosts, the runs were made."""
_EQUIVALENCES: TypeAdapter[tuple[Equivalence, ...]] = TypeAdapter(tuple[Equivalence, ...])


class Record:
    """Observations by task; every one is on the disk when ``take`` returns.

    ``folder`` holds the journal's neighbours: the baselines' outputs. ``cpu`` is the class of the
    CPU that runs were made on, ``hosts`` those of a cluster among them. Thread-safe.
    """

    def __init__(self, folder: Path, journal: Journal, cells: Mapping[str, Cell]) -> None:
        self.folder, self.journal = folder, journal
        self.observations: dict[str, Observation] = {}
        self.skipped: dict[str, Skipped] = {}
        self.baselines: dict[str, str] = {}
        self.cpu = ""
        self.hosts: frozenset[str] = frozenset()
        self._equivalences: dict[str, tuple[Equivalence, ...]] = {}
        self._values: dict[str, Values] = {}
        self._lock = threading.RLock()
        for unit, payload in journal.done().items():
            self._recall(unit, payload, cells)

    def ran_on(self, cpu: str, hosts: Iterable[str] = ()) -> None:
        """Keep where runs are made; ``hosts`` are a cluster's, none for this machine.

        Raises EngineError for another kind of CPU than before: a variation would be blamed.
        """
        if self.cpu not in ("", cpu):
            raise EngineError(
                "the runs of one audit would be made on different CPUs",
                where=str(self.journal.path),
                why=f"it was begun on {self.cpu}, now there is {cpu}: a variation would be blamed",
                fix="go on where it was begun, on hosts of one kind"
                " (SLURM: directives = ['--constraint=...']), or choose another folder with --out",
            )
        if self.cpu and self.hosts.issuperset(hosts):
            return
        self.cpu, self.hosts = cpu, self.hosts.union(hosts)
        self.journal.record(PLACE, {"cpu": cpu, "hosts": sorted(self.hosts)})

    @property
    def cluster(self) -> dict[str, Any]:
        """A document's facts of the cluster that runs were made on; none where there was none."""
        if not self.hosts:
            return {}
        return {"cluster": {"cpu_class": self.cpu, "hosts": sorted(self.hosts)}}

    def knows(self, task: Task) -> bool:
        """Whether the task has been done, or found impossible."""
        return task.id in self.observations or task.id in self.skipped

    def observation(self, task: Task) -> Observation | None:
        """What was seen, if anything."""
        return self.observations.get(task.id)

    def of(self, cell: str) -> list[Observation]:
        """A cell's observations, in the order in which they were made."""
        return [one for one in self.observations.values() if one.cell == cell]

    def baseline(self, cell: str) -> Values | None:
        """The outputs that all others of a cell are held against."""
        return self._values.get(cell)

    def take(self, ran: Ran, problem: Problem) -> Observation | None:
        """Judge and keep a run; return what was seen, None where it was skipped."""
        task = ran.task
        if ran.answer is None:
            self._skip(ran)
            return None
        first = task.condition is BASELINE and task.repeat == 0 and task.phase == "plan"
        blank = Observation(
            cell=task.cell.id, variations=task.condition.names, repeat=task.repeat,
            phase=task.phase, outcome=Outcome.FAILED, verdict=Verdict.FAILED, seen=ran.seen,
        )  # fmt: skip
        before = None if first else self._values.get(task.cell.id)
        seen = observe(blank, task.cell, ran.answer, problem=problem, baseline=before)
        payload: dict[str, Any] = {"observation": observation_to_plain(seen)}
        if first and seen.outcome is not Outcome.FAILED:
            values = kept(task.cell, ran.answer.values)
            payload["baseline"] = arrays.save(self.folder / BASELINES, values)
            with self._lock:
                self._values[task.cell.id] = values
                self.baselines[task.cell.id] = payload["baseline"]
        self.journal.record(task.id, payload)
        with self._lock:
            self.observations[task.id] = seen
        return seen

    def equivalences(self, cell: str) -> tuple[Equivalence, ...] | None:
        """The equivalence tests of a cell, None while there were none."""
        return self._equivalences.get(cell)

    def take_equivalences(self, cell: str, tests: tuple[Equivalence, ...]) -> None:
        """Keep the equivalence tests of a cell."""
        plain = _EQUIVALENCES.dump_python(tests, mode="json")
        self.journal.record(f"equivalence|{cell}", {"equivalences": plain})
        self._equivalences[cell] = tests

    def spare(self, task: Task, why: str) -> None:
        """Note that a task is not made, and why."""
        note = Skipped(variation=task.condition.id, cell=task.cell.id, why=why)
        with self._lock:
            self.skipped[task.id] = note

    def _skip(self, ran: Ran) -> None:
        note = Skipped(
            variation=ran.task.condition.id, cell=ran.task.cell.id, why=ran.why, fix=ran.fix
        )
        with self._lock:
            # Not in the journal: what was missing may be there when the audit goes on.
            self.skipped[ran.task.id] = note

    def _recall(self, unit: str, payload: Mapping[str, Any], cells: Mapping[str, Cell]) -> None:
        if unit == PLACE:
            self.cpu, self.hosts = payload["cpu"], frozenset(payload["hosts"])
            return
        if "equivalences" in payload:
            tests = _EQUIVALENCES.validate_python(payload["equivalences"])
            self._equivalences[unit.removeprefix("equivalence|")] = tests
            return
        seen = observation_from_plain(payload["observation"])
        if seen.cell not in cells:
            return
        self.observations[unit] = seen
        if "baseline" in payload:
            name = payload["baseline"]
            self.baselines[seen.cell] = name
            self._values[seen.cell] = arrays.load(self.folder / BASELINES / name)


def gathered(notes: Sequence[Skipped], planned: Mapping[str, int]) -> tuple[Skipped, ...]:
    """Return the notes with those of the same reason told once, where all its cells share it.

    ``planned`` maps conditions to the number of their cells.
    """
    cells: dict[tuple[str | None, str, str], set[str]] = defaultdict(set)
    for note in notes:
        cells[note.variation, note.why, note.fix].add(note.cell or "")
    told: list[Skipped] = []
    for (variation, why, fix), which in cells.items():
        note = Skipped(variation=variation, cell=None, why=why, fix=fix)
        everywhere = "" in which or len(which) >= planned.get(variation or "", 0)
        told += [note] if everywhere else [replace(note, cell=cell) for cell in sorted(which)]
    return tuple(told)


def lab_digests(cells: Sequence[Cell]) -> dict[str, str]:
    """SHA-256 over every file of each lab's folder, but what is made from it."""
    folders = {cell.lab.slug: cell.lab.folder for cell in cells}
    return {slug: _folder_digest(folder) for slug, folder in sorted(folders.items())}


def _folder_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(
        p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    ):
        for part in (path.relative_to(folder).as_posix().encode(), path.read_bytes()):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()
