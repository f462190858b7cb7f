"""Why a cell's bits moved: runs again, holds things still, and takes combinations apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from paritylab.audit.conditions import BASELINE, Condition, combined
from paritylab.audit.model import Cause, Difference, Observation, Outcome, Promise
from paritylab.audit.smallest import smallest
from paritylab.audit.tasks import Task
from paritylab.audit.variations import HOLDS, Variation, found
from paritylab.model import Cell

AGAIN = 6
"""Runs of a baseline, or with something held still, that must agree."""
FRESH_AGAIN = 3
"""The same where every run needs new workers."""
# They are settled when a worker starts, so they cannot tell its forks apart.
_OF_WORKERS = ("fixed-addresses", "fixed-hash-seed")
_SEVERITY = [Outcome.IDENTICAL, Outcome.CLOSE, Outcome.DIVERGED, Outcome.FAILED]
Run = Callable[[Sequence[Task]], dict[str, Observation | None]]
"""Runs tasks that are not known yet; returns task id -> what was seen (None: impossible)."""


class Search:
    """Looks for the causes in cells whose bits moved; all of them at once, stage by stage.

    ``plan_of`` gives a cell's observations of the plan, ``run`` makes more runs.
    """

    def __init__(self, run: Run, plan_of: Callable[[str], Sequence[Observation]]) -> None:
        self._run, self._plan_of = run, plan_of

    def causes(self, cells: Sequence[Cell]) -> dict[str, tuple[Cause, ...]]:
        """Return the causes by cell id; every cell has at least one moved observation."""
        plain = {cell.id: told for cell in cells if (told := self._as_expected(cell))}
        return plain | self._searched([cell for cell in cells if cell.id not in plain])

    def _as_expected(self, cell: Cell) -> tuple[Cause, ...]:
        """Causes of a cell that moves where no bits are promised, and nowhere else.

        The other runs have shown that nothing else moves it: there is nothing to search.
        """
        seen = self._plan_of(cell.id)
        moved = [one for one in seen if one.moved]
        if len(seen) - len(moved) < AGAIN or any(map(_promised, moved)):
            return ()
        singles = {one.variations: one for one in moved if len(one.variations) == 1}
        if any(one.outcome is not Outcome.CLOSE for one in moved) or not singles:
            return ()
        return tuple(_cause(names, one) for names, one in singles.items())

    def _searched(self, cells: Sequence[Cell]) -> dict[str, tuple[Cause, ...]]:
        if not cells:
            return {}
        again = self._again(cells)
        noisy = [cell for cell in cells if _scatters(again[cell.id][0])]
        result = self._held_still(noisy, fresh=False)
        moved = [
            c for c in cells if c.id not in result and any(one.moved for one in again[c.id][0])
        ]
        result |= self._left_behind(moved)
        restless = [
            cell for cell in cells
            if cell.id not in result and (cell in moved or self._moves_afresh(cell))
        ]  # fmt: skip
        result |= self._held_still(restless, fresh=True)
        for cell in cells:
            if cell.id not in result:
                result[cell.id] = self._varied(cell, again[cell.id])
        return result

    # ---- again, as it was --------------------------------------------------------------------
    def _again(
        self, cells: Sequence[Cell]
    ) -> dict[str, tuple[list[Observation], dict[str, Observation]]]:
        """Run baselines and moved singles again, on new workers: cell -> (baselines, singles)."""
        tasks = [_task(BASELINE, cell, repeat) for cell in cells for repeat in range(1, AGAIN + 1)]
        for cell in cells:
            tasks += [_task(combined([name], 1), cell, 1) for name in self._singles(cell)]
        seen = self._run(_by_group(tasks))
        answers: dict[str, tuple[list[Observation], dict[str, Observation]]] = {}
        for cell in cells:
            mine = [(t, seen.get(t.id)) for t in tasks if t.cell is cell]
            answers[cell.id] = (
                [one for t, one in mine if one and t.condition is BASELINE],
                {t.condition.id: one for t, one in mine if one and t.condition is not BASELINE},
            )
        return answers

    def _singles(self, cell: Cell) -> list[str]:
        moved = [o.variations[0] for o in self._plan_of(cell.id) if o.moved and _single(o)]
        return list(dict.fromkeys(moved))

    def _moves_afresh(self, cell: Cell) -> bool:
        """Whether nothing but another worker moves the bits."""
        afresh = (("fresh",), ("cold",))
        return any(o.moved for o in self._plan_of(cell.id) if o.variations in afresh)

    def _left_behind(self, cells: Sequence[Cell]) -> dict[str, tuple[Cause, ...]]:
        """Causes of cells that answer as at first only where earlier runs have left nothing."""
        tasks = [_task(combined(["clean-tmp"]), cell, 0) for cell in cells]
        seen = self._run(tasks)
        result: dict[str, tuple[Cause, ...]] = {}
        for task in tasks:
            one = seen.get(task.id)
            if one and not one.moved:
                moved = [o for o in self._plan_of(task.cell.id) if o.moved]
                result[task.cell.id] = (_noise(("clean-tmp",), moved, fresh=False),)
        return result

    # ---- something held still ----------------------------------------------------------------
    def _held_still(self, cells: Sequence[Cell], *, fresh: bool) -> dict[str, tuple[Cause, ...]]:
        if not cells:
            return {}
        names = [n for n in HOLDS if (n in _OF_WORKERS) == fresh and not HOLDS[n].missing()]
        held = self._which_hold(cells, [(name,) for name in names], fresh=fresh)
        result: dict[str, tuple[Cause, ...]] = {}
        for cell in cells:
            sets = held[cell.id] or self._together(cell, names, fresh=fresh) or [()]
            moved = [o for o in self._plan_of(cell.id) if o.moved]
            result[cell.id] = tuple(_noise(holds, moved, fresh=fresh) for holds in sets)
        return result

    def _which_hold(
        self, cells: Sequence[Cell], sets: Sequence[tuple[str, ...]], *, fresh: bool
    ) -> dict[str, list[tuple[str, ...]]]:
        """Return, per cell, those sets of holds under which all runs agree."""
        tasks = [
            task for names in sets for cell in cells for task in _holding(names, cell, fresh=fresh)
        ]
        seen = self._run(_by_group(tasks))
        answers: dict[str, list[tuple[str, ...]]] = {cell.id: [] for cell in cells}
        for cell in cells:
            for names in sets:
                mine = [seen.get(task.id) for task in _holding(names, cell, fresh=fresh)]
                if _agree(mine):
                    answers[cell.id].append(names)
        return answers

    def _together(self, cell: Cell, names: Sequence[str], *, fresh: bool) -> list[tuple[str, ...]]:
        """Return the smallest set of holds that works, if all of them together do."""
        # Running threads one after another may well hang; it had its chance alone.
        several = tuple(name for name in names if name != "one-after-another")

        def holds(part: tuple[str, ...]) -> bool:
            return bool(self._which_hold([cell], [part], fresh=fresh)[cell.id])

        return [smallest(several, holds)] if len(several) > 1 and holds(several) else []

    # ---- something varied --------------------------------------------------------------------
    def _varied(
        self, cell: Cell, again: tuple[list[Observation], dict[str, Observation]]
    ) -> tuple[Cause, ...]:
        confirmed = {name: one for name, one in again[1].items() if one.moved}
        causes = [_cause((name,), one) for name, one in confirmed.items()]
        for one in self._plan_of(cell.id):
            if not one.moved or _single(one) or not one.variations:
                continue
            if any(set(cause.variations) <= set(one.variations) for cause in causes):
                continue
            causes.append(self._taken_apart(cell, one))
        return tuple(causes) or (_unconfirmed(self._plan_of(cell.id)),)

    def _taken_apart(self, cell: Cell, one: Observation) -> Cause:
        last = one

        def moves(names: tuple[str, ...]) -> bool:
            nonlocal last
            task = _task(combined(names), cell, 1)
            seen = self._run([task]).get(task.id)
            if seen and seen.moved:
                last = seen
                return True
            return False

        if not moves(one.variations):
            return _unconfirmed([one])
        names = smallest(one.variations, moves)
        return _cause(names, last)


def _task(condition: Condition, cell: Cell, repeat: int) -> Task:
    return Task(condition=condition, cell=cell, repeat=repeat, phase="search")


def _holding(names: tuple[str, ...], cell: Cell, *, fresh: bool) -> list[Task]:
    if not fresh:
        return [_task(combined(names), cell, repeat) for repeat in range(AGAIN)]
    afresh = (*names, "fresh")
    return [_task(combined(afresh, repeat), cell, repeat) for repeat in range(FRESH_AGAIN)]


def _by_group(tasks: Iterable[Task]) -> list[Task]:
    return sorted(tasks, key=lambda task: task.condition.group)


def _promised(one: Observation) -> bool:
    return combined(one.variations).promise is Promise.BITS


def _single(one: Observation) -> bool:
    return len(one.variations) == 1


def _scatters(baselines: Sequence[Observation]) -> bool:
    return len({(one.digest, one.outcome is Outcome.FAILED) for one in baselines}) > 1


def _agree(seen: Sequence[Observation | None]) -> bool:
    return (
        all(one is not None and one.outcome is not Outcome.FAILED for one in seen)
        and len({one.digest for one in seen if one}) == 1
    )


def _worst(seen: Iterable[Observation]) -> Observation:
    return max(seen, key=lambda one: _SEVERITY.index(one.outcome))


def _cause(names: tuple[str, ...], seen: Observation) -> Cause:
    what = " and ".join(found(name).changes for name in names)
    head = f"changes with {what}" if len(names) == 1 else f"changes only with {what} together"
    return Cause(
        variations=names, held_by=(), outcome=seen.outcome, first=seen.first,
        sentence=head + where(seen),
    )  # fmt: skip


def _noise(holds: tuple[str, ...], moved: Sequence[Observation], *, fresh: bool) -> Cause:
    seen = _worst(moved)
    head = f"changes from {'worker to worker' if fresh else 'run to run'}"
    variations: list[Variation] = [found(name) for name in holds]
    if variations:
        head += " with " + " and ".join(one.changes for one in variations)
    else:
        head += ", and nothing that was held still stops it"
    return Cause(
        variations=(), held_by=holds, outcome=seen.outcome, first=seen.first,
        sentence=head + where(seen),
    )  # fmt: skip


def _unconfirmed(seen: Sequence[Observation]) -> Cause:
    moved = [one for one in seen if one.moved]
    worst = _worst(moved)
    under = ", ".join(dict.fromkeys("+".join(one.variations) or "nothing" for one in moved))
    return Cause(
        variations=(), held_by=(), outcome=worst.outcome, first=worst.first,
        sentence=f"changed under {under}, and not when that was tried again" + where(worst),
    )  # fmt: skip


def where(seen: Observation) -> str:
    """Return ``; first at step 3, `w1[4,7]`, 2 ULP``, or what went wrong instead."""
    if seen.first is None:
        return f"; it {seen.outcome}: {seen.message}" if seen.message else ""
    return f"; first at {place(seen.first)}"


def place(first: Difference) -> str:
    """Return ``step 3, `w1[4,7]`, 2 ULP``."""
    index = f"[{','.join(map(str, first.index))}]" if first.index else ""
    parts = [f"`{first.output}{index}`"]
    if first.step is not None:
        parts.insert(0, f"step {first.step}")
    parts.append(
        f"{first.ulp} ULP" if first.ulp is not None else f"{first.baseline} became {first.got}"
    )
    return ", ".join(parts)


def shortened(task: Task, seconds: float) -> Task:
    """Return the task with a deadline of ``seconds``: what is held still may wait for ever."""
    limits = task.cell.lab.limits
    if limits.seconds <= seconds:
        return task
    lab = replace(task.cell.lab, limits=replace(limits, seconds=seconds))
    return replace(task, cell=replace(task.cell, lab=lab))
