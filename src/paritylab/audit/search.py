"""Why a cell's bits moved: runs again, holds things still, and takes combinations apart."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from statistics import median

from paritylab.audit.conditions import BASELINE, Condition, combined
from paritylab.audit.model import Cause, Observation, Outcome, Promise
from paritylab.audit.sentences import cause, noise, unconfirmed
from paritylab.audit.smallest import questions, smallest
from paritylab.audit.tasks import Task
from paritylab.audit.tiers import excused
from paritylab.audit.variations import HOLDS
from paritylab.model import Cell

AGAIN = 6
"""Runs of a baseline, or with something held still, that must agree."""
FRESH_AGAIN = 3
"""The same where every run needs new workers."""
LONG_SECONDS, LONG_AGAIN = 3.0, 2
"""Where a run takes longer, the plan's own runs of the baseline count, and so many more will do."""
# Another process or worker: nothing is varied.
_UNVARIED = ((), ("repeat",), ("order",), ("fresh",), ("cold",))
# They are settled when a worker starts. Its forks may differ by them all the same: what lies where
# is another in each session, and two have one at a time.
_OF_WORKERS = ("fixed-addresses", "fixed-hash-seed")
Run = Callable[[Sequence[Task]], dict[str, Observation | None]]
"""Runs tasks that are not known yet; returns task id -> what was seen (None: impossible)."""
Asking = Generator[Task, Observation | None, tuple[Cause, ...]]
"""A search under way: yields the run that it wants next, and is sent what was seen."""


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
        """Causes of a cell that moves where nobody promises bits, and nowhere else.

        The other runs have shown that nothing else moves it: there is nothing to search.
        """
        seen = self._plan_of(cell.id)
        moved = [one for one in seen if one.moved]
        if len(seen) - len(moved) < AGAIN:
            return ()
        if any(_promised(one) and not excused(cell, one) for one in moved):
            return ()
        singles = {one.variations: one for one in moved if len(one.variations) == 1}
        told = all(any(set(name) <= set(one.variations) for name in singles) for one in moved)
        if any(one.outcome is not Outcome.CLOSE for one in moved) or not told:
            return ()
        return tuple(cause(names, one) for names, one in singles.items())

    def _searched(self, cells: Sequence[Cell]) -> dict[str, tuple[Cause, ...]]:
        if not cells:
            return {}
        again = self._again(cells)
        noisy = [cell for cell in cells if _scatters(again[cell.id][0])]
        result = self._held_still(noisy, fresh=(False, True))
        moved = [
            c for c in cells if c.id not in result and any(one.moved for one in again[c.id][0])
        ]
        result |= self._left_behind(moved)
        restless = [
            cell for cell in cells
            if cell.id not in result and (cell in moved or self._moves_afresh(cell))
        ]  # fmt: skip
        result |= self._held_still(restless, fresh=(True,))
        varied = [cell for cell in cells if cell.id not in result]
        return result | self._in_step({c.id: self._varied(c, again[c.id]) for c in varied})

    # ---- again, as it was --------------------------------------------------------------------
    def _again(
        self, cells: Sequence[Cell]
    ) -> dict[str, tuple[list[Observation], dict[str, Observation]]]:
        """Run baselines and moved singles again, on new workers: cell -> (baselines, singles)."""
        tasks = [task for cell in cells for task in _baselines(cell, 0, self._enough(cell))]
        for cell in cells:
            tasks += [_task(combined([name], 1), cell, 1) for name in self._singles(cell)]
        seen = self._run(_by_group(tasks))
        more = [
            task
            for cell in cells
            if any((one := seen.get(t.id)) is None or one.moved for t in tasks if _plain(t, cell))
            for task in _baselines(cell, self._enough(cell), AGAIN)
        ]
        if more:
            tasks += more
            seen |= self._run(more)
        answers: dict[str, tuple[list[Observation], dict[str, Observation]]] = {}
        for cell in cells:
            mine = [(t, seen.get(t.id)) for t in tasks if t.cell is cell]
            answers[cell.id] = (
                [one for t, one in mine if one and t.condition is BASELINE],
                {t.condition.id: one for t, one in mine if one and t.condition is not BASELINE},
            )
        return answers

    def _enough(self, cell: Cell) -> int:
        """How many baselines tell whether the cell scatters: fewer where each takes long.

        Then those of the plan count, if they agree; what moves after all is run ``AGAIN`` times.
        """
        seen = self._plan_of(cell.id)
        same = [one for one in seen if one.variations in _UNVARIED]
        if median(one.seconds for one in seen) <= LONG_SECONDS or any(o.moved for o in same):
            return AGAIN
        return max(LONG_AGAIN, AGAIN - len(same))

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
                result[task.cell.id] = (noise(("clean-tmp",), moved, fresh=False),)
        return result

    # ---- something held still ----------------------------------------------------------------
    def _held_still(
        self, cells: Sequence[Cell], *, fresh: Sequence[bool]
    ) -> dict[str, tuple[Cause, ...]]:
        """Causes by what stops the scatter: one thing alone first, of a job's or of a worker's.

        ``fresh`` tells whose things: a worker's have to be held in new workers.
        """
        held: dict[str, list[tuple[str, ...]]] = {}
        for afresh in fresh:
            left = [cell for cell in cells if not held.get(cell.id)]
            alone = [(name,) for name in _holds(fresh=afresh)]
            held |= self._which_hold(left, alone, fresh=afresh)
        result: dict[str, tuple[Cause, ...]] = {}
        for cell in cells:
            sets = held[cell.id] or self._together(cell, fresh=fresh[0]) or [()]
            moved = [o for o in self._plan_of(cell.id) if o.moved]
            result[cell.id] = tuple(noise(holds, moved, fresh=fresh[0]) for holds in sets)
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

    def _together(self, cell: Cell, *, fresh: bool) -> list[tuple[str, ...]]:
        """Return the smallest set of holds that works, if all of them together do."""
        # Running threads one after another may well hang; it had its chance alone.
        several = tuple(name for name in _holds(fresh=fresh) if name != "one-after-another")

        def holds(part: tuple[str, ...]) -> bool:
            return bool(self._which_hold([cell], [part], fresh=fresh)[cell.id])

        return [smallest(several, holds)] if len(several) > 1 and holds(several) else []

    # ---- something varied --------------------------------------------------------------------
    def _in_step(self, searches: dict[str, Asking]) -> dict[str, tuple[Cause, ...]]:
        """Run what they all ask next at once, so that no processor idles, until all have ended."""
        result: dict[str, tuple[Cause, ...]] = {}
        asked: dict[str, Task | None] = dict.fromkeys(searches)
        seen: dict[str, Observation | None] = {}
        while asked:
            for cell, task in list(asked.items()):
                try:
                    asked[cell] = searches[cell].send(seen.get(task.id) if task else None)
                except StopIteration as end:
                    result[cell] = end.value
                    del asked[cell]
            seen = self._run(_by_group(filter(None, asked.values()))) if asked else {}
        return result

    def _varied(
        self, cell: Cell, again: tuple[list[Observation], dict[str, Observation]]
    ) -> Asking:
        confirmed = {name: one for name, one in again[1].items() if one.moved}
        causes = [cause((name,), one) for name, one in confirmed.items()]
        for one in self._plan_of(cell.id):
            if not one.moved or _single(one) or not one.variations:
                continue
            if any(set(known.variations) <= set(one.variations) for known in causes):
                continue
            causes.append((yield from _taken_apart(cell, one)))
        return tuple(causes) or (unconfirmed(self._plan_of(cell.id)),)


def _taken_apart(cell: Cell, one: Observation) -> Generator[Task, Observation | None, Cause]:
    last = yield _task(combined(one.variations), cell, 1)
    if last is None or not last.moved:
        return unconfirmed([one])
    asking = questions(one.variations)
    try:
        names = next(asking)
        while True:
            seen = yield _task(combined(names), cell, 1)
            moved = seen is not None and seen.moved
            last = seen if seen and moved else last
            names = asking.send(moved)
    except StopIteration as end:
        return cause(end.value, last)


def _holds(*, fresh: bool) -> list[str]:
    """What can be held still here: in a new worker, or in any."""
    return [n for n in HOLDS if (n in _OF_WORKERS) == fresh and not HOLDS[n].missing()]


def _task(condition: Condition, cell: Cell, repeat: int) -> Task:
    return Task(condition=condition, cell=cell, repeat=repeat, phase="search")


def _baselines(cell: Cell, first: int, last: int) -> list[Task]:
    return [_task(BASELINE, cell, repeat) for repeat in range(first + 1, last + 1)]


def _plain(task: Task, cell: Cell) -> bool:
    return task.cell is cell and task.condition is BASELINE


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


def shortened(task: Task, seconds: float) -> Task:
    """Return the task with a deadline of ``seconds``: what is held still may wait for ever."""
    limits = task.cell.lab.limits
    if limits.seconds <= seconds:
        return task
    lab = replace(task.cell.lab, limits=replace(limits, seconds=seconds))
    return replace(task, cell=replace(task.cell, lab=lab))
