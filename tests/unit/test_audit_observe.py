"""audit.observe: what differs from the baseline, where first, and by how much."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from synthetic import with_cpu_bits

from paritylab import catalog
from paritylab.audit.model import Observation, Outcome
from paritylab.audit.observe import difference, distances, first_difference, observe
from paritylab.hardware import cpu_class
from paritylab.judge import digest_key
from paritylab.matrix import Selection, cells
from paritylab.model import Cell, Comparison, OutputSpec, Verdict
from paritylab.runner import Settings, problem_of
from paritylab.schema import RecordedDigest
from paritylab.stacks import CpuBits
from paritylab.wire import JobResult

SPEC = OutputSpec(
    name="w", dtype="float32", shape=(), compare=Comparison.CLOSE, rtol=0.1, atol=0.0, steps=False,
    per_implementation=False, bits=True, why="a test", points=1.0,
)  # fmt: skip


@pytest.fixture
def cell(project: Path) -> Cell:
    """double-pytorch@tiny-cpu."""
    return cells(catalog.load(project), Selection(implementations=("pytorch",)))[0]


def seen(cell: Cell, answer: JobResult, baseline: dict) -> Observation:
    """Judge an answer against a baseline."""
    blank = Observation(
        cell=cell.id, variations=("threads",), repeat=0, phase="plan", outcome=Outcome.FAILED,
        verdict=Verdict.FAILED,
    )  # fmt: skip
    problem = problem_of(cell.lab, Settings(oracle_only=True))
    return observe(blank, cell, answer, problem=problem, baseline=baseline)


def right(cell: Cell) -> dict:
    """The right answer of the fixture's lab."""
    problem = problem_of(cell.lab, Settings(oracle_only=True))
    return {"doubled": problem.inputs["x"] * np.float32(2), "rounds": 1, "style": "eager"}


def test_the_first_element_in_c_order_is_told_with_its_distance() -> None:
    """An index, both values and the ULP between them: what a reader looks up."""
    before = np.zeros((4, 8), np.float32) + np.float32(1)
    after = before.copy()
    after[2, 3] = np.nextafter(np.nextafter(np.float32(1), np.float32(2)), np.float32(2))
    after[3, 0] = 9
    found = difference(SPEC, before, after)
    assert found is not None
    assert (found.index, found.ulp, found.differing, found.total) == ((2, 3), 2, 2, 32)
    assert found.relative == pytest.approx(2.0**-22)


def test_minus_zero_and_another_nan_are_other_bits() -> None:
    """Bits are held against bits: what compares equal may still differ."""
    assert difference(SPEC, np.float32([0.0]), np.float32([-0.0])) is not None
    nan = np.array([0x7FC00001], np.uint32).view(np.float32)
    assert difference(SPEC, np.float32([np.nan]), nan) is not None
    assert difference(SPEC, nan, nan.copy()) is None


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3)), st.data())
def test_a_difference_is_found_if_and_only_if_the_bytes_differ(
    before: np.ndarray, data: st.DataObject
) -> None:
    """Whatever the values, NaN among them, an audit is neither blind nor nervous."""
    after = data.draw(hnp.arrays(np.float32, before.shape) | st.just(before.copy()))
    found = difference(SPEC, before, after)
    assert (found is None) == (before.tobytes() == after.tobytes())
    if found:
        assert 1 <= found.differing <= found.total


def test_another_dtype_or_shape_is_told_in_words() -> None:
    """They are no elements to compare, and not equal either."""
    found = difference(SPEC, np.zeros(3, np.float32), np.zeros(3))
    assert found is not None
    assert (found.baseline, found.got) == ("float32[3]", "float64[3]")


def test_text_differs_at_a_place() -> None:
    """Strings are shown around their first other character."""
    found = difference(replace(SPEC, dtype="str"), "a, b, c", "a, x, c")
    assert found is not None
    assert (found.index, found.got) == ((3,), "'a, x, c'")


def test_the_earliest_step_comes_first(cell: Cell) -> None:
    """`first at step 3` beats an output that is declared earlier but has no steps."""
    specs = {
        "final": replace(SPEC, name="final", shape=(2,)),
        "loss": replace(SPEC, name="loss", shape=(4,), steps=True),
    }
    lab = replace(cell.lab, outputs=specs)
    before = {"final": np.zeros(2, np.float32), "loss": np.zeros(4, np.float32)}
    after = {"final": np.ones(2, np.float32), "loss": np.float32([0, 0, 0, 1])}
    found = first_difference(replace(cell, lab=lab), before, after)
    assert found is not None
    assert (found.output, found.step) == ("loss", 3)


def test_distances_are_those_of_the_worst_element(cell: Cell) -> None:
    """Relative to the largest element, so that a tiny one does not frighten."""
    before, after = right(cell), right(cell)
    after["doubled"] = before["doubled"].copy()
    after["doubled"][0] = np.nextafter(after["doubled"][0], np.float32(9))
    found = distances(cell, before, after)
    assert found["max_ulp"] == {"doubled": 1}
    assert 0 < found["max_relative"]["doubled"] < 1e-6


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({}, Outcome.IDENTICAL),
        ({"doubled": 1}, Outcome.CLOSE),
        ({"doubled": 1000}, Outcome.DIVERGED),
        ({"style": "graph"}, Outcome.DIVERGED),
        ({"doubled": None}, Outcome.DIVERGED),
    ],
)
def test_outcomes(cell: Cell, change: dict, outcome: Outcome) -> None:
    """Same bits, within tolerance, outside; a NaN is outside."""
    values = right(cell)
    steps = change.get("doubled", 0)
    doubled = values["doubled"].copy()
    doubled[0] = np.nan if steps is None else doubled[0] + steps * np.spacing(doubled[0])
    values |= {"doubled": doubled, "style": change.get("style", "eager")}
    one = seen(cell, JobResult(status="ok", values=values), right(cell))
    assert one.outcome is outcome
    assert one.moved == bool(change)


def test_no_recorded_digest_is_held_against_a_run(cell: Cell) -> None:
    """It would be that of this machine's CPU, while a cluster's host may have made the run."""
    cell = with_cpu_bits(cell, CpuBits.FAMILY)
    problem = problem_of(cell.lab, Settings(oracle_only=True))
    entries = (
        RecordedDigest(digest="0" * 64, **digest_key(cell, "portable", cpu=cpu))
        for cpu in (cpu_class(), "Vendor-9-9")
    )
    problem = replace(problem, digests=tuple(entries))
    blank = Observation(
        cell=cell.id, variations=(), repeat=0, phase="plan", outcome=Outcome.FAILED,
        verdict=Verdict.FAILED,
    )  # fmt: skip
    answer = JobResult(status="ok", values=right(cell))
    found = observe(blank, cell, answer, problem=problem, baseline=None)
    assert (found.verdict, found.message) == (Verdict.CLOSE, "")


def test_no_answer_is_a_failure_with_its_reason(cell: Cell) -> None:
    """A crash under a variation is a finding, not a gap."""
    one = seen(cell, JobResult(status="killed", cause="ended by signal 11"), right(cell))
    assert one.outcome is Outcome.FAILED
    assert one.moved
    assert "signal 11" in one.message
