"""The matrix in parts that take equally long: what a CI system runs as jobs of its own."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from paritylab.durations import Durations
from paritylab.errors import UsageError
from paritylab.model import Cell

_TRIES = 12
"""Halvings: the length is found to a thousandth or so."""
_WRITTEN = re.compile(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,4})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One part of a split, ``number`` of ``of`` (from 1).

    ``seconds`` is what it is expected to take, the setup of its environments included; ``split``
    the SHA-256 of the whole split, so that parts of different splits are told apart.
    """

    number: int
    of: int
    cells: tuple[Cell, ...]
    environments: tuple[str, ...]
    seconds: float
    split: str

    @property
    def name(self) -> str:
        """``2/5``: what ``--shard`` is given."""
        return f"{self.number}/{self.of}"

    def document(self) -> dict[str, object]:
        """What results.json says of it: with every cell that it was to run."""
        return {
            "number": self.number,
            "of": self.of,
            "split": self.split,
            "seconds": self.seconds,
            "cells": [cell.id for cell in self.cells],
        }


@dataclass(kw_only=True)
class _Part:
    """A shard that is being filled."""

    cells: list[Cell] = field(default_factory=list)
    stacks: set[tuple[str, str]] = field(default_factory=set)
    seconds: float = 0.0

    def with_(self, cell: Cell, seconds: float, setup: float) -> float:
        """Return the seconds that it would take with one more cell."""
        new = _stack(cell) not in self.stacks
        return self.seconds + seconds + (setup if new else 0.0)

    def add(self, cell: Cell, seconds: float, setup: float) -> None:
        self.seconds = self.with_(cell, seconds, setup)
        self.stacks.add(_stack(cell))
        self.cells.append(cell)


def _stack(cell: Cell) -> tuple[str, str]:
    return cell.environment.name, cell.device


def parse(text: str) -> tuple[int, int]:
    """Return number and count of ``2/5``; raises UsageError."""
    found = _WRITTEN.fullmatch(text)
    number, of = (int(part) for part in found.groups()) if found else (0, 0)
    if not 1 <= number <= of:
        raise UsageError(
            f"`{text:.40}` is no shard",
            why="a shard is written 2/5: the second of five",
            fix="--shard 1/5",
        )
    return number, of


def split(cells: Sequence[Cell], count: int, durations: Durations) -> tuple[Shard, ...]:
    """Return ``count`` shards that hold every cell once, and take about equally long.

    An environment costs every shard that has one of its cells its setup, so that not every job
    fetches every image. The better of two rules is taken: LPT (the longest cell first, each to the
    shard that it makes the least long), which without setup gives at most 4/3 of the best split's
    longest shard (R. L. Graham, Bounds on multiprocessing timing anomalies, 1969), and MULTIFIT
    (first fit into shards of a length that is halved down; E. G. Coffman, M. R. Garey and
    D. S. Johnson, An application of bin-packing to multiprocessor scheduling, 1978), environment
    by environment. Same cells, count and durations, same shards.

    Raises UsageError when fewer cells run than there are shards.
    """
    runs = [cell for cell in cells if not cell.unsupported]
    if not 1 <= count <= len(runs):
        raise UsageError(
            f"{count} shards cannot be made of {len(runs)} cells that run",
            why="every shard runs at least one",
            fix=f"--shards {max(1, min(count, len(runs)))}",
        )
    parts = _filled(runs, count, durations)
    gaps = sorted((cell for cell in cells if cell.unsupported), key=lambda cell: cell.id)
    for number, cell in enumerate(gaps):
        parts[number % count].cells.append(cell)
    ids = [sorted(cell.id for cell in part.cells) for part in parts]
    digest = hashlib.sha256(json.dumps(ids).encode()).hexdigest()
    place = {cell.id: number for number, cell in enumerate(cells)}
    return tuple(
        Shard(
            number=number,
            of=count,
            cells=tuple(sorted(part.cells, key=lambda cell: place[cell.id])),
            environments=tuple(sorted({name for name, _ in part.stacks})),
            seconds=round(part.seconds, 2),
            split=digest,
        )
        for number, part in enumerate(parts, 1)
    )


def _filled(runs: Sequence[Cell], count: int, durations: Durations) -> list[_Part]:
    """The better of two ways to fill the shards: LPT is blind for setup that is still to come."""
    load = _Load(seconds=durations.of(runs), setup=durations.setup)
    spread = load.spread(runs, count)
    return min(spread, load.fitted(runs, spread), key=_longest)


def _longest(parts: Sequence[_Part]) -> float:
    return max(part.seconds for part in parts)


@dataclass(frozen=True, kw_only=True)
class _Load:
    """What cells weigh, by id, and what an environment costs a shard."""

    seconds: Mapping[str, float]
    setup: float

    def spread(self, runs: Sequence[Cell], count: int) -> list[_Part]:
        """LPT: the longest cell first, each to the shard that it makes the least long."""
        parts = [_Part() for _ in range(count)]
        for number, cell in enumerate(sorted(runs, key=self._longest_first)):
            empty = [part for part in parts if not part.cells]
            # Setup may make sharing look cheap to the end; an empty job would be red.
            choice = empty if len(runs) - number <= len(empty) else parts
            took = self.seconds[cell.id]
            best = min(choice, key=lambda part: part.with_(cell, took, self.setup))
            best.add(cell, took, self.setup)
        return parts

    def fitted(self, runs: Sequence[Cell], known: list[_Part]) -> list[_Part]:
        """MULTIFIT, an environment after the other: the least length that all cells fit into.

        ``known`` is a split whose length is to be beaten; returned where it is not.
        """
        totals: dict[tuple[str, str], float] = defaultdict(float)
        for cell in runs:
            totals[_stack(cell)] += self.seconds[cell.id]
        ordered = sorted(
            runs,
            key=lambda cell: (-totals[_stack(cell)], _stack(cell), self._longest_first(cell)),
        )
        low, high, best = 0.0, _longest(known), known
        for _ in range(_TRIES):
            middle = (low + high) / 2
            found = self._packed(ordered, len(known), middle)
            if found is None:
                low = middle
            else:
                high, best = middle, found
        return best

    def _packed(self, ordered: Sequence[Cell], count: int, length: float) -> list[_Part] | None:
        """First fit into shards of a length, its own environment's first; None if they are few."""
        parts = [_Part() for _ in range(count)]
        for number, cell in enumerate(ordered):
            took, stack = self.seconds[cell.id], _stack(cell)
            empty = [part for part in parts if not part.cells]
            if len(ordered) - number <= len(empty):
                choice = empty
            else:
                choice = sorted(parts, key=lambda part: stack not in part.stacks)
            fits = (p for p in choice if p.with_(cell, took, self.setup) <= length)
            part = next(fits, None)
            if part is None:
                return None
            part.add(cell, took, self.setup)
        return parts

    def _longest_first(self, cell: Cell) -> tuple[float, str]:
        return -self.seconds[cell.id], cell.id
