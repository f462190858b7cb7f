"""How long cells took: read from results.json or durations.json, guessed where nobody knows.

``labs/durations.json`` is committed, so every job of a commit weighs the cells alike and needs no
artefact of another job. It is a results.json reduced to what a split needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from paritylab import atomic
from paritylab.errors import UsageError
from paritylab.model import Cell, CellResult, Verdict

FILE = "durations.json"
SETUP_SECONDS = 60.0
"""What an environment costs a job before its first cell, where no file says otherwise.

Its image or its wheels come out of a cache and its frameworks are imported: an estimate for hosted
runners, to be corrected in labs/durations.json (``setup_seconds``).
"""
UNKNOWN_SECONDS = 1.0
Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]


class _Row(BaseModel):
    """What both files say of a cell."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    cell: str
    lab: str
    environment: str
    seconds: Seconds
    verdict: Verdict | None = None


class _File(BaseModel):
    """The part that both files have in common."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    schema_version: Literal[1]
    setup_seconds: Seconds = SETUP_SECONDS
    cells: list[_Row]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of wall time that a cell took."""

    cell: str
    lab: str
    environment: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Durations:
    """What is known; ``setup`` is what an environment costs a job once, in seconds."""

    timings: tuple[Timing, ...] = ()
    setup: float = SETUP_SECONDS

    def of(self, cells: Iterable[Cell]) -> dict[str, float]:
        """Return seconds by cell id.

        What is not recorded is the median of its lab, else of its environment, else of everything,
        else a second.
        """
        known = {one.cell: one.seconds for one in self.timings}
        by_lab = _medians((one.lab, one.seconds) for one in self.timings)
        by_environment = _medians((one.environment, one.seconds) for one in self.timings)
        usual = median(known.values()) if known else UNKNOWN_SECONDS
        found: dict[str, float] = {}
        for cell in cells:
            guess = by_lab.get(cell.lab.slug, by_environment.get(cell.environment.name, usual))
            name = cell.id
            found[name] = known.get(name, guess)
        return found


def longest_first(cells: Sequence[Cell], taken: Durations) -> tuple[Cell, ...]:
    """The cells environment by environment, in each the longest first.

    So an environment's cells run while the next one's frameworks are imported, and at the end of a
    run nothing waits for a long cell that began last.
    """
    places = {name: at for at, name in enumerate(dict.fromkeys(c.environment.name for c in cells))}
    seconds = taken.of(cells)

    def turn(cell: Cell) -> tuple[int, float]:
        return places[cell.environment.name], 0.0 if cell.unsupported else -seconds[cell.id]

    return tuple(sorted(cells, key=turn))


def read(path: Path) -> Durations:
    """Return what a results.json or durations.json tells; raises UsageError with the place."""
    try:
        data = _File.model_validate_json(path.read_bytes())
    except OSError as fault:
        raise UsageError(
            f"{path} cannot be read", why=fault.strerror, fix="name a results.json of a run"
        ) from None
    except ValidationError as fault:
        one = fault.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in one["loc"])
        raise UsageError(
            f"{path} tells no durations",
            why=f"{at}: {one['msg']}" if at else one["msg"],
            fix="name a results.json of a run, or what `paritylab merge --durations` wrote",
        ) from None
    rows = [row for row in data.cells if row.verdict is not Verdict.UNSUPPORTED]
    return Durations(
        timings=tuple(
            Timing(cell=r.cell, lab=r.lab, environment=r.environment, seconds=r.seconds)
            for r in rows
        ),
        setup=data.setup_seconds,
    )


def known(root: Path, given: Path | None = None) -> Durations:
    """Return what ``given`` tells, else the project's own labs/durations.json, else nothing."""
    committed = root / "labs" / FILE
    if given is None and not committed.is_file():
        return Durations()
    return read(given or committed)


def write(path: Path, results: Sequence[CellResult], *, before: Durations) -> None:
    """Write a durations.json: the green cells' seconds over what was known, sorted by cell.

    What was red may have ended early: its row stays as it was, and so does that of a cell that
    could not run here, or of another run (another device, another lab). One that the project no
    longer has keeps it, too, for results do not tell: it weighs nothing itself, only in the medians
    that new cells are guessed from, until somebody deletes its line.
    """
    timings = {one.cell: one for one in before.timings}
    for ran in results:
        if ran.verdict.green:
            timings[ran.cell] = Timing(
                cell=ran.cell, lab=ran.lab, environment=ran.environment, seconds=ran.seconds
            )
    rows = (
        to_json(
            {
                "cell": one.cell,
                "lab": one.lab,
                "environment": one.environment,
                "seconds": round(one.seconds, 2),
            }
        ).decode()
        for _, one in sorted(timings.items())
    )
    head = f'{{\n"schema_version": 1,\n"setup_seconds": {before.setup:g},\n"cells": [\n'
    atomic.write(path, head + ",\n".join(rows) + "\n]\n}\n")


def _medians(pairs: Iterable[tuple[str, float]]) -> Mapping[str, float]:
    seen: dict[str, list[float]] = {}
    for name, seconds in pairs:
        seen.setdefault(name, []).append(seconds)
    return {name: median(values) for name, values in seen.items()}
