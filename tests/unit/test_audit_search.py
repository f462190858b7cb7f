"""audit.search: how many runs a search makes, and when it needs none."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from conftest import PROJECT
from synthetic import with_cpu_bits

from paritylab import catalog, matrix
from paritylab.audit.model import Difference, Observation, Outcome
from paritylab.audit.search import AGAIN, LONG_AGAIN, LONG_SECONDS, Search
from paritylab.audit.tasks import Task
from paritylab.matrix import Selection
from paritylab.model import Cell, Verdict
from paritylab.stacks import CpuBits

MOVED = Difference(
    output="loss", index=(3,), step=3, baseline="1.0", got="1.5", ulp=2, relative=0.5,
    differing=1, total=4,
)  # fmt: skip
UNVARIED = ((), ("repeat",), ("order",), ("fresh",), ("cold",))
VARIED = (("home",), ("locale",), ("memory",))


@pytest.fixture(scope="module")
def cell() -> Cell:
    """Any cell."""
    loaded = catalog.load(PROJECT, labs=("train",), environments=("tf2",))
    return matrix.cells(loaded, Selection())[0]


def observation(cell: Cell, *names: str, moved: bool = False, seconds: float = 9.0) -> Observation:
    """A run of the plan; one that moved is within tolerance."""
    return Observation(
        cell=cell.id, variations=names, repeat=0, phase="plan",
        outcome=Outcome.CLOSE if moved else Outcome.IDENTICAL,
        verdict=Verdict.CLOSE if moved else Verdict.IDENTICAL,
        first=MOVED if moved else None, digest="b" if moved else "a", seconds=seconds,
    )  # fmt: skip


class Machine:
    """What makes a search's runs here: those move whose id holds one of ``moving``, all its parts.

    ``rounds`` are the cells of each call.
    """

    def __init__(self, *moving: str) -> None:
        self.moving, self.asked, self.rounds = moving, [], []

    def run(self, tasks: Sequence[Task]) -> dict[str, Observation | None]:
        """See Search."""
        self.asked += [task.id for task in tasks]
        self.rounds.append([task.cell.id for task in tasks])
        return {t.id: self._one(t) for t in tasks}

    def _one(self, task: Task) -> Observation:
        moved = any(all(part in task.id for part in name.split("+")) for name in self.moving)
        return observation(task.cell, *task.condition.names, moved=moved)

    @property
    def baselines(self) -> int:
        """How many runs of it as it is were asked for."""
        return sum("|baseline|" in name for name in self.asked)


class Scattering(Machine):
    """No two runs agree, unless all of one of ``holds`` is held still."""

    def __init__(self, *holds: set[str]) -> None:
        super().__init__()
        self.holds = holds

    def _one(self, task: Task) -> Observation:
        names = set(task.condition.names)
        seen = observation(task.cell, *task.condition.names, moved=True)
        still = any(some <= names for some in self.holds)
        return seen if still else replace(seen, digest=task.id)


def plan(cell: Cell, *moved: tuple[str, ...], seconds: float = 9.0) -> list[Observation]:
    """The plan's runs: under all of these the cell stayed, and under ``moved`` it moved."""
    stayed = [names for names in (*UNVARIED, *VARIED) if names not in moved]
    seen = [observation(cell, *names, seconds=seconds) for names in stayed]
    return seen + [observation(cell, *names, moved=True, seconds=seconds) for names in moved]


def test_the_plan_s_own_runs_count_where_each_takes_long(cell: Cell) -> None:
    """Five agree already: two more on new workers are seven, where a quick cell has six more."""
    machine = Machine("time-zone")
    seen = plan(cell, ("time-zone",))
    [cause] = Search(machine.run, lambda _: seen).causes([cell])[cell.id]
    assert cause.variations == ("time-zone",)
    assert machine.baselines == LONG_AGAIN < AGAIN
    quick = Machine("time-zone")
    short = plan(cell, ("time-zone",), seconds=LONG_SECONDS / 2)
    [same] = Search(quick.run, lambda _: short).causes([cell])[cell.id]
    assert (same, quick.baselines) == (cause, AGAIN)


def test_without_runs_that_agree_there_is_nothing_to_count(cell: Cell) -> None:
    """A cell of which the plan has few runs, or one that moved untouched, is run as often."""
    few = [one for one in plan(cell, ("time-zone",)) if one.variations not in UNVARIED[2:]]
    machine = Machine("time-zone")
    Search(machine.run, lambda _: few).causes([cell])
    assert machine.baselines == AGAIN - 2
    machine = Machine("time-zone")
    Search(machine.run, lambda _: plan(cell, ("time-zone",), ("repeat",))).causes([cell])
    assert machine.baselines == AGAIN


def test_what_moves_after_all_is_run_as_often_as_anything(cell: Cell) -> None:
    """One of the few moves: that a cell scatters is not judged by two runs."""
    machine = Machine("search|baseline|2|", "time-zone")
    causes = Search(machine.run, lambda _: plan(cell, ("time-zone",))).causes([cell])[cell.id]
    assert machine.baselines == AGAIN
    assert {cause.sentence[:23] for cause in causes} == {"changes from run to run"}


def test_a_lab_that_depends_on_the_cpu_by_its_own_word_is_not_searched(cell: Cell) -> None:
    """All else has shown that nothing else moves it, also where CPU and all others were varied."""
    own = with_cpu_bits(cell, CpuBits.MODEL)
    moved = (("cpu-zen2",), ("threads",), ("cpu-zen2", "home"))
    seen, machine = plan(own, *moved), Machine("cpu-zen2", "threads")
    causes = Search(machine.run, lambda _: seen).causes([own])[own.id]
    assert [cause.variations for cause in causes] == [("cpu-zen2",), ("threads",)]
    assert machine.asked == []
    # The same observations of a lab that says nothing of the kind.
    Search(machine.run, lambda _: plan(cell, *moved)).causes([cell])
    assert machine.asked


@pytest.mark.parametrize("extra", [("locale",), ("home", "memory"), ("memory", "threads")])
def test_anything_else_that_moves_such_a_lab_is_searched(
    cell: Cell, extra: tuple[str, ...]
) -> None:
    """A promise of bits, or a combination that none of its parts tells."""
    own = with_cpu_bits(cell, CpuBits.MODEL)
    seen, machine = plan(own, ("cpu-zen2",), extra), Machine("cpu-zen2", "+".join(extra))
    causes = Search(machine.run, lambda _: seen).causes([own])[own.id]
    assert machine.asked
    assert {("cpu-zen2",), extra} <= {cause.variations for cause in causes}


def test_combinations_of_several_cells_are_taken_apart_side_by_side(cell: Cell) -> None:
    """Each question waits for the last one's answer, but the other cells' need not."""
    other = replace(cell, implementation="tf1")
    every = ("folder", "home", "locale", "memory", "time-zone", "variables")
    machine = Machine(f"home+memory+{cell.id}", f"locale+zone+{other.id}")
    moved = {one.id: plan(one, every) for one in (cell, other)}
    causes = Search(machine.run, lambda name: moved[name]).causes([cell, other])
    assert [cause.variations for cause in causes[cell.id]] == [("home", "memory")]
    assert [cause.variations for cause in causes[other.id]] == [("locale", "time-zone")]
    both = [one for one in machine.rounds if sorted(one) == sorted([cell.id, other.id])]
    assert len(both) > len([one for one in machine.rounds if len(one) == 1])


def test_one_thing_held_still_is_looked_for_before_two(cell: Cell) -> None:
    """Two things of a job may stop by chance what the one that it is, a worker's, stops alone."""
    machine = Scattering({"fixed-addresses"}, {"clean-tmp", "filled-memory"})
    causes = Search(machine.run, lambda _: plan(cell, ("time-zone",))).causes([cell])[cell.id]
    assert [cause.held_by for cause in causes] == [("fixed-addresses",)]
    assert causes[0].sentence.startswith("changes from run to run with the addresses of objects")


def test_two_things_are_held_still_together_where_none_suffices_alone(cell: Cell) -> None:
    """The smallest set that stops it."""
    machine = Scattering({"fixed-entropy", "fixed-pid"})
    causes = Search(machine.run, lambda _: plan(cell, ("time-zone",))).causes([cell])[cell.id]
    assert [cause.held_by for cause in causes] == [("fixed-entropy", "fixed-pid")]
