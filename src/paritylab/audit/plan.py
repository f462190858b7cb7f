"""What an audit is going to run: conditions, tasks, what is skipped, and how long it may take."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from paritylab.audit.conditions import BASELINE, Condition, combined
from paritylab.audit.model import PlannedCondition, Promise, Skipped
from paritylab.audit.tasks import Task, first_baseline
from paritylab.audit.variations import VARIATIONS, Variation
from paritylab.errors import UsageError, nearest
from paritylab.model import Cell
from paritylab.runner import worker_keys

RUN_SECONDS = 0.6
"""A cell that nobody has timed yet: a guess from the labs that there are."""
WORKER_SECONDS = 3.0
"""Importing a framework, on one core: 1.3 to 3.3 were measured."""
SLOW_SECONDS, SLOW_FACTOR = 5.0, 15.0
"""A cell is slow when a run takes longer than this, and so many times as long as most do."""
_ALL_TOGETHER = 6
_AS_REPEAT = (("order",), ("cold",))
# Workers or machines of their own, or not for every cell: not to be combined.
_ALONE = (
    "repeat", "cold", "fresh", "order", "engine-docker", "engine-venv", "device", "loader-workers",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asked for; ``variations`` empty means the standard ones.

    ``repeats`` is the number of runs per cell and variation, ``pairs`` the number of seeded pairs
    besides all together, ``replicates`` the runs of an equivalence test.
    """

    variations: tuple[str, ...] = ()
    repeats: int = 1
    pairs: int = 2
    together: bool = True
    seed: int = 0
    replicates: int = 12

    def check(self) -> Request:
        """Raise UsageError for a variation that does not exist or a number out of range."""
        for name in self.variations:
            if name not in VARIATIONS:
                raise UsageError(f"unknown variation `{name}`", why=nearest(name, VARIATIONS))
        if self.repeats < 1 or self.pairs < 0 or self.replicates < 3:
            raise UsageError(
                "repeats must be 1 or more, pairs 0 or more, replicates 3 or more",
                fix="paritylab audit --help",
            )
        return self


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Tasks in the order in which they run (baselines first), and what is left out."""

    baselines: tuple[Task, ...]
    tasks: tuple[Task, ...]
    conditions: tuple[PlannedCondition, ...]
    skipped: tuple[Skipped, ...]
    compared: tuple[Variation, ...]

    @property
    def runs(self) -> int:
        """How many runs these are."""
        return len(self.baselines) + len(self.tasks)


def plan(cells: Sequence[Cell], request: Request, *, engine: str) -> Planned:
    """Return what to run for these (supported) cells."""
    names = request.check().variations or standard(engine)
    chosen, skipped = _possible([VARIATIONS[name] for name in names], engine)
    conditions = _conditions([one for one in chosen if not one.compared], request)
    tasks: list[Task] = []
    planned = []
    # Those of the baseline's own workers first, while these are there.
    for condition in sorted(conditions, key=lambda one: (one.group != BASELINE.group, one.group)):
        mine = [cell for cell in cells if condition.applies(cell) is None]
        if len(mine) < len(cells):
            skipped.append(_left_out(condition, cells, len(mine)))
        ordered = mine[::-1] if condition.backwards else mine
        tasks += [
            Task(condition=condition, cell=cell, repeat=repeat)
            for repeat in range(request.repeats)
            for cell in ordered
        ]
        if mine:
            planned.append(
                PlannedCondition(
                    variations=condition.names, repeats=request.repeats, cells=len(mine)
                )
            )
    return Planned(
        baselines=tuple(map(first_baseline, cells)),
        tasks=tuple(tasks),
        conditions=tuple(planned),
        skipped=tuple(skipped),
        compared=tuple(one for one in chosen if one.compared),
    )


def covered(planned: Planned) -> frozenset[tuple[str, ...]]:
    """Conditions that a slow cell is spared: one run with all of them together asks as much.

    If the bits move then, the combination is taken apart. Another CPU, threads, kernels, engine
    and fresh workers are always asked for alone.
    """
    every = [set(one.variations) for one in planned.conditions if len(one.variations) > 1]
    together = max(every, key=len, default=set())
    if len(together) < _ALL_TOGETHER:
        return frozenset()
    spared = [
        one.variations
        for one in planned.conditions
        if set(one.variations) < together or one.variations in _AS_REPEAT
    ]
    return frozenset(
        names for names in spared if not any(VARIATIONS[n].kind == "cpu" for n in names)
    )


def slow(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the cells that take much longer than the others, with their seconds."""
    usual = median(seconds.values()) if seconds else 0.0
    limit = max(SLOW_SECONDS, SLOW_FACTOR * usual)
    return {cell: taken for cell, taken in seconds.items() if taken > limit}


def standard(engine: str) -> tuple[str, ...]:
    """Names of the variations that are made without being asked for."""
    own = f"engine-{engine}"
    return tuple(n for n, one in VARIATIONS.items() if one.standard and n != own)


def _possible(chosen: Iterable[Variation], engine: str) -> tuple[list[Variation], list[Skipped]]:
    possible, skipped = [], []
    for one in chosen:
        missing = one.missing()
        if missing:
            why = Skipped(variation=one.name, cell=None, why=missing.reason, fix=missing.fix)
            skipped.append(why)
        elif one.engine == engine:
            why = Skipped(variation=one.name, cell=None, why=f"{engine} is the audit's own engine")
            skipped.append(why)
        else:
            possible.append(one)
    return possible, skipped


def _conditions(chosen: Sequence[Variation], request: Request) -> list[Condition]:
    singles = [combined([one.name]) for one in chosen]
    free = [one for one in chosen if one.name not in _ALONE]
    promised = [one for one in free if one.promise is Promise.BITS]
    together = [_one_of_each_kind(promised)] if request.together and len(promised) > 2 else []
    return singles + [combined(names) for names in (*together, *_pairs(free, request))]


def _one_of_each_kind(variations: Iterable[Variation]) -> tuple[str, ...]:
    kinds = {one.kind or one.name: one.name for one in variations}
    return tuple(kinds.values())


def _pairs(free: Sequence[Variation], request: Request) -> list[tuple[str, str]]:
    """Seeded pairs of variations that can be made together, each new worker at most once."""
    possible = [
        (a.name, b.name)
        for place, a in enumerate(free)
        for b in free[place + 1 :]
        if not a.kind or a.kind != b.kind
    ]
    drawn = random.Random(request.seed)  # noqa: S311 - a choice, no secret
    return drawn.sample(possible, min(request.pairs, len(possible)))


def _left_out(condition: Condition, cells: Sequence[Cell], kept: int) -> Skipped:
    why = next(filter(None, map(condition.applies, cells)))
    return Skipped(variation=condition.id, cell=None, why=f"for {len(cells) - kept} cells: {why}")


def estimate(planned: Planned, known: Mapping[str, float], *, profile: str, jobs: int) -> float:
    """Return the seconds that a plan may take; ``known`` maps cells to seconds of a run.

    What is not known counts as ``RUN_SECONDS``; what a slow cell is spared does not count.
    """
    total, spared, long = 0.0, covered(planned), slow(known)
    started: set[tuple[object, ...]] = set()
    for task in (*planned.baselines, *planned.tasks):
        if task.cell.id in long and task.condition.names in spared:
            continue
        total += known.get(task.cell.id, RUN_SECONDS)
        group = task.condition.group
        total += WORKER_SECONDS if task.condition.workers == "each" else 0.0
        if group not in started:
            started.add(group)
            cells = [t.cell for t in planned.baselines]
            total += WORKER_SECONDS * len(worker_keys(cells, profile))
    return total / jobs
