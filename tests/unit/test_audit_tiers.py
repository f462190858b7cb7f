"""audit.tiers: which observations give which tier, and when a cell keeps what it declares."""

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import with_cpu_bits

from paritylab import catalog, matrix
from paritylab.audit.model import Difference, Equivalence, Observation, Outcome, Tier
from paritylab.audit.tiers import cell_audit
from paritylab.matrix import Selection
from paritylab.model import Cell, Verdict
from paritylab.stacks import CpuBits

FIRST = Difference(
    output="doubled", index=(0,), step=None, baseline="1", got="2", ulp=3, relative=0.1,
    differing=1, total=3,
)  # fmt: skip
SHOWN = Equivalence(
    output="doubled", replicates=12, margin=0.1, p_value=0.001, confidence=0.95, power=0.99,
    equivalent=True,
)  # fmt: skip


@pytest.fixture
def cell(project: Path) -> Cell:
    """double-pytorch@tiny-cpu."""
    return matrix.cells(catalog.load(project), Selection(implementations=("pytorch",)))[0]


def seen(outcome: Outcome, *variations: str, by_nature: bool = False) -> Observation:
    """A run; what is not identical differs in its first output, if its bits count."""
    moved = outcome in (Outcome.CLOSE, Outcome.DIVERGED) and not by_nature
    return Observation(
        cell="double-pytorch@tiny-cpu", variations=variations, repeat=0, phase="plan",
        outcome=outcome, verdict=Verdict.CLOSE, message="because", digest="d",
        first=FIRST if moved else None, max_ulp={"doubled": 3} if moved else {},
    )  # fmt: skip


SAME, CLOSE, DIVERGED, FAILED = Outcome
BASE = seen(SAME)


@pytest.mark.parametrize(
    ("runs", "tier", "broken"),
    [
        ([seen(SAME, "home"), seen(SAME, "threads")], Tier.BITWISE, ()),
        ([seen(SAME, "home"), seen(CLOSE, "threads")], Tier.BITWISE, ()),
        ([seen(CLOSE, "home")], Tier.NUMERICAL, ("home",)),
        ([seen(CLOSE, "home", "threads")], Tier.BITWISE, ()),
        ([seen(CLOSE, "cpu-zen2")], Tier.NUMERICAL, ("cpu-zen2",)),
        ([seen(DIVERGED, "threads")], Tier.NONE, ("threads",)),
        ([seen(FAILED, "home")], Tier.NONE, ("home",)),
        ([seen(CLOSE, "environment")], Tier.BITWISE, ()),
    ],
)
def test_tier_and_promise(
    cell: Cell, runs: list[Observation], tier: Tier, broken: tuple[str, ...]
) -> None:
    """Bits where bits are promised, tolerance everywhere else."""
    verdict = cell_audit(cell, [BASE, *runs], baseline="x")
    assert (verdict.tier, verdict.broken, verdict.reached) == (tier, broken, not broken)


def test_bits_of_a_model_are_let_off_for_another_cpu_and_for_nothing_else(cell: Cell) -> None:
    """It is then numerically reproducible, which is what it declares."""
    declared = with_cpu_bits(cell, CpuBits.MODEL)
    verdict = cell_audit(declared, [BASE, seen(CLOSE, "cpu-zen2")], baseline="x")
    assert (verdict.tier, verdict.reached) == (Tier.NUMERICAL, True)
    assert not cell_audit(declared, [BASE, seen(CLOSE, "home")], baseline="x").reached
    assert not cell_audit(declared, [BASE, seen(DIVERGED, "cpu-zen2")], baseline="x").reached


def test_bits_of_a_family_are_not_let_off_for_an_emulated_cpu(cell: Cell) -> None:
    """It approximates 1/x as the true one does, so that nothing excuses other bits."""
    declared = with_cpu_bits(cell, CpuBits.FAMILY)
    verdict = cell_audit(declared, [BASE, seen(CLOSE, "cpu-zen2")], baseline="x")
    assert (verdict.broken, verdict.reached) == (("cpu-zen2",), False)


def test_the_native_profile_promises_no_bits_on_another_cpu(cell: Cell) -> None:
    """It takes whatever kernels the CPU has; everything else is promised all the same."""
    run = seen(CLOSE, "cpu-zen2")
    verdict = cell_audit(cell, [BASE, run], baseline="x", profile="native")
    assert (verdict.tier, verdict.reached) == (Tier.BITWISE, True)
    other = cell_audit(cell, [BASE, seen(CLOSE, "home")], baseline="x", profile="native")
    assert not other.reached


def test_scatter_by_nature_needs_an_equivalence(cell: Cell) -> None:
    """Without the test, outside is outside; with it, only what moves by nature is forgiven."""
    runs = [BASE, seen(DIVERGED, "home", by_nature=True)]
    assert cell_audit(cell, runs, baseline="x").tier is Tier.NONE
    shown = cell_audit(cell, runs, baseline="x", equivalences=(SHOWN,))
    assert (shown.tier, shown.reached) == (Tier.STATISTICAL, True)
    missed = replace(SHOWN, equivalent=False)
    assert cell_audit(cell, runs, baseline="x", equivalences=(missed,)).tier is Tier.NONE
    other = [BASE, seen(DIVERGED, "home")]
    assert not cell_audit(cell, other, baseline="x", equivalences=(SHOWN,)).reached


def test_nothing_varied_is_no_tier(cell: Cell) -> None:
    """A baseline alone, or nothing at all, proves nothing."""
    for runs in ([], [BASE]):
        verdict = cell_audit(cell, runs, baseline="x")
        assert (verdict.tier, verdict.reached) == (Tier.UNKNOWN, False)


def test_a_baseline_outside_of_its_tolerance_is_never_reached(cell: Cell) -> None:
    """Wrong in the same way every time is not reproducible science."""
    verdict = cell_audit(cell, [seen(DIVERGED), seen(DIVERGED, "home")], baseline="x")
    assert (verdict.tier, verdict.reached) == (Tier.NONE, False)
    assert "without any variation" in verdict.sentence


def test_a_variation_that_moved_once_is_not_told_as_one_that_holds(cell: Cell) -> None:
    """Of two repeats one moved: it stands among those that move."""
    runs = [BASE, seen(SAME, "home"), replace(seen(CLOSE, "home"), repeat=1)]
    verdict = cell_audit(cell, runs, baseline="x")
    assert (verdict.same_bits, verdict.moved) == ((), ("home",))
