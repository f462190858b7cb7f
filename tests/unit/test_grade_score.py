"""grade.score: what an answer earns, and what the words about it may say."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st

from paritylab import catalog, scenarios
from paritylab.grade import score
from paritylab.grade.trial import Mark, Trial, packed, unpacked
from paritylab.model import Lab
from paritylab.wire import JobResult


@pytest.fixture(scope="module")
def lab() -> Lab:
    """The lab `train`, with credit for the part of the loss curve that is right."""
    found = catalog.load(PROJECT, labs=("train",), environments=("tf2",)).labs["train"]
    outputs = {name: replace(spec, partial=spec.steps) for name, spec in found.outputs.items()}
    return replace(found, outputs=outputs)


@pytest.fixture(scope="module")
def expected(lab: Lab) -> dict:
    """What is right for one seed."""
    return scenarios.answer(lab, scenarios.pose(lab, 3))["pytorch"]


def right(lab: Lab, expected: dict) -> dict:
    """The oracle's answer in the declared dtypes."""
    return {name: np.asarray(v, lab.outputs[name].dtype) for name, v in expected.items()}


def marks_of(lab: Lab, expected: dict, values: dict) -> dict[str, Mark]:
    """Marks by output."""
    return {m.output: m for m in score.mark(JobResult(status="ok", values=values), expected, lab)}


def test_the_oracles_answer_earns_everything(lab: Lab, expected: dict) -> None:
    """Full marks for what is right, and no words."""
    marks = marks_of(lab, expected, right(lab, expected))
    assert {m.share for m in marks.values()} == {1.0}
    assert {m.words for m in marks.values()} == {""}
    assert set(marks) == set(lab.outputs)


@given(step=st.integers(0, 175))
def test_a_curve_earns_its_steps_before_the_first_divergence(
    lab: Lab, expected: dict, step: int
) -> None:
    """Credit is the share of steps that are right; what comes after does not matter."""
    values = right(lab, expected)
    values["loss"] = values["loss"].copy()
    values["loss"][step] *= 1.01
    found = marks_of(lab, expected, values)["loss"]
    assert found.share == step / 176
    assert found.verdict == ("partial" if step else "diverged")
    whole = replace(lab, outputs={"loss": replace(lab.outputs["loss"], partial=False)})
    assert marks_of(whole, expected, values)["loss"].share == 0


@given(
    value=st.floats(width=32),
    at=st.integers(0, 175),
    name=st.sampled_from(["loss", "w1", "b2", "predictions", "test_loss"]),
)
def test_words_hold_no_hidden_value(
    lab: Lab, expected: dict, value: float, at: int, name: str
) -> None:
    """Words tell where, never what: neither the expected nor the given value; hidden tells both."""
    values = right(lab, expected)
    values[name] = values[name].copy()
    flat = values[name].reshape(-1)
    index = at % flat.size
    flat[index] = value
    found = marks_of(lab, expected, values)[name]
    if found.share == 1:
        return
    want = repr(float(np.asarray(expected[name]).reshape(-1)[index]))
    assert want not in found.words
    assert want in found.hidden
    assert str(flat[index]) in found.hidden
    assert found.words
    assert not any(character == "." for character in found.words)


@pytest.mark.parametrize(
    ("spoil", "verdict", "says"),
    [
        (lambda _: None, "missing", "missing"),
        (lambda v: v.astype(np.float64), "wrong form", "float64"),
        (lambda v: v[:-1], "wrong form", "shape [175]"),
        (lambda v: v.reshape(176, 1), "wrong form", "shape [176, 1]"),
        (lambda v: np.full_like(v, np.nan), "not finite", "NaN"),
        (lambda v: np.full_like(v, -np.inf), "not finite", "infinity"),
        (lambda _: "loss", "wrong form", "dtype str"),
        (lambda _: np.zeros(0, np.float32), "wrong form", "shape [0]"),
    ],
)
def test_a_bad_output_costs_itself_alone(
    lab: Lab, expected: dict, spoil, verdict: str, says: str
) -> None:
    """Wrong shape, dtype, NaN or nothing at all: no point for it, every point for the others."""
    values = right(lab, expected)
    spoilt = spoil(values.pop("loss"))
    if spoilt is not None:
        values["loss"] = spoilt
    marks = marks_of(lab, expected, values)
    assert (marks["loss"].share, marks["loss"].verdict) == (0.0, verdict)
    assert says in marks["loss"].words
    assert {m.share for name, m in marks.items() if name != "loss"} == {1.0}


def test_an_output_that_was_not_asked_for_costs_nothing(lab: Lab, expected: dict) -> None:
    """More than was asked for is no mistake."""
    values = {**right(lab, expected), "bonus": 1}
    assert {m.share for m in marks_of(lab, expected, values).values()} == {1.0}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            JobResult(
                status="error", error_type="ValueError", message="w1 was 0.123456",
                traceback='  File "pytorch.py", line 12, in run\nValueError: w1 was 0.123456',
            ),
            "ValueError (pytorch.py, line 12)",
        ),
        (
            JobResult(
                status="error", error_type="0.123456", message="",
                traceback='  File "0.123456", line 0.123456',
            ),
            "an exception",
        ),
        (JobResult(status="error", cause="exit code 3"), "ended without an answer: exit code 3"),
        (JobResult(status="timeout", cause="late"), "it ran past the time limit"),
        (JobResult(status="killed", cause="out of memory"), "it was killed: out of memory"),
        (JobResult(status="protocol", cause="0.123456"), "its answer was broken or too large"),
    ],
)  # fmt: skip
def test_no_answer_earns_nothing_and_tells_no_input(
    lab: Lab, expected: dict, answer: JobResult, words: str
) -> None:
    """An exception's text is the submission's own and may hold its inputs: kind and line only."""
    for found in score.mark(answer, expected, lab):
        assert found.share == 0
        assert words in found.words
        assert "0.123456" not in found.words


def trial(seed: int, repeat: int, share: float) -> Trial:
    """A trial with one mark."""
    found = Mark(output="loss", share=share, verdict="passed" if share == 1 else "diverged",
                 words="" if share == 1 else "wrong")  # fmt: skip
    return Trial(implementation="tf2", seed=seed, repeat=repeat, source="", status="ok",
                 marks=(found,))  # fmt: skip


def test_points_are_the_mean_and_words_those_of_the_worst(lab: Lab) -> None:
    """Two of three seeds right: two thirds of the points, and it says on how many it went wrong."""
    only = replace(lab, outputs={"loss": replace(lab.outputs["loss"], points=6.0)})
    (found,) = score.checks("tf2", [trial(1, 0, 1), trial(2, 0, 0), trial(3, 0, 1)], 3, only)
    assert (found.id, found.earned, found.points) == ("tf2: loss", 4.0, 6.0)
    assert found.words == "wrong (on 1 of 3 hidden inputs)"
    assert not found.moved  # different seeds are different questions


def test_a_score_that_moves_between_repeats_is_flagged(lab: Lab) -> None:
    """The same question with another outcome marks the check."""
    only = replace(lab, outputs={"loss": lab.outputs["loss"]})
    (found,) = score.checks("tf2", [trial(1, 0, 1), trial(1, 1, 0.5)], 2, only)
    assert found.moved


def test_a_missing_trial_is_no_zero(lab: Lab) -> None:
    """What could not be run is told apart from what was wrong."""
    only = replace(lab, outputs={"loss": lab.outputs["loss"]})
    (found,) = score.checks("tf2", [trial(1, 0, 1)], 2, only)
    assert (found.verdict, found.earned) == (score.UNGRADED, 0.0)


@given(value=st.floats(width=32), at=st.integers(0, 175))
def test_trials_survive_the_journal(lab: Lab, expected: dict, value: float, at: int) -> None:
    """NaN and infinity too: what is read back marks and draws the same."""
    values = right(lab, expected)
    values["loss"] = values["loss"].copy()
    values["loss"][at] = value
    marks = score.mark(JobResult(status="ok", values=values), expected, lab)
    before = replace(trial(1, 0, 1), marks=marks)
    assert repr(unpacked(packed(before), where="here")) == repr(before)
