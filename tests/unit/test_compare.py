"""compare: what is outside the tolerance is found, named and measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from paritylab.compare import compare, ulp_distance
from paritylab.model import Comparison, OutputSpec


def spec(**changes: object) -> OutputSpec:
    """An OutputSpec for `y`: float32[4], rtol 1e-6, unless changed."""
    facts = {
        "name": "y",
        "dtype": "float32",
        "shape": (4,),
        "compare": Comparison.CLOSE,
        "rtol": 1e-6,
        "atol": 0.0,
        "steps": False,
        "per_implementation": False,
        "bits": True,
        "why": "test",
        "points": 1.0,
    }
    return OutputSpec(**{**facts, **changes})


WANT = np.array([1.0, 2.0, 3.0, 4.0])
GOT = WANT.astype(np.float32)


def only(got: object, want: object = WANT, **changes: object):
    """Compare one output `y`."""
    return compare({"y": got}, {"y": want}, {"y": spec(**changes)})


def test_agreement_has_nothing_to_report() -> None:
    """Equal values give no fault, no divergence and no use of the tolerance."""
    report = only(GOT)
    assert (report.faults, report.divergences) == ((), ())
    assert report.tolerance_used == {"y": 0.0}
    assert report.max_ulp == {"y": 0}


def test_first_divergence_is_the_first_step_with_ulp_and_relative_distance() -> None:
    """The message points at the first element outside, not at the worst one."""
    got = GOT.copy()
    got[1] = np.nextafter(got[1], np.float32(9))  # inside: 1 ULP of 2 is 1.2e-7 relative
    got[2] *= np.float32(1.00001)
    got[3] *= 2
    first = only(got, steps=True).divergences[0]
    assert (first.index, first.step, first.outside, first.total) == ((2,), 2, 2, 4)
    assert first.ulp == int(ulp_distance(got[2:3], GOT[2:3])[0]) > 100
    assert first.relative == pytest.approx(1e-5, rel=0.02)
    assert first.expected == "3.0"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_outside(bad: float) -> None:
    """NaN compares false with everything, which must not read as `no difference`."""
    got = GOT.copy()
    got[0] = bad
    first = only(got).divergences[0]
    assert first.index == (0,)
    assert first.ulp is None


@pytest.mark.parametrize(
    ("got", "sentence"),
    [
        (GOT.astype(np.float64), "dtype float64, lab.toml declares float32"),
        (GOT[:3], "shape [3], lab.toml declares [4]"),
        (GOT.reshape(2, 2), "shape [2, 2]"),
        ("text", "dtype str"),
        (1.5, "dtype float64"),
    ],
    ids=["dtype", "short", "reshaped", "string", "scalar"],
)
def test_contract_breaches_are_faults(got: object, sentence: str) -> None:
    """Wrong dtype or shape is told as such; numbers are then not compared."""
    report = only(got)
    assert sentence in report.faults[0]
    assert report.divergences == ()


def test_missing_and_undeclared_outputs_suggest_each_other() -> None:
    """A misspelt output name is answered with the declared one."""
    report = compare({"loss_": GOT}, {"loss": WANT}, {"loss": spec(name="loss")})
    assert "outputs.loss_: returned but not declared" in report.faults[0]
    assert "did you mean `loss`?" in report.faults[0]
    assert "outputs.loss: declared in lab.toml but not returned" in report.faults[1]


def test_exact_rounds_the_oracle_once_and_sees_one_ulp_and_the_sign_of_zero() -> None:
    """`exact` means the bits of the correctly rounded oracle."""
    exact = {"compare": Comparison.EXACT, "rtol": 0.0}
    want = np.array([0.1, 0.2, 0.3, 0.0])
    got = want.astype(np.float32)
    assert only(got, want, **exact).divergences == ()
    got[0] = np.nextafter(got[0], np.float32(1))
    assert only(got, want, **exact).divergences[0].ulp == 1
    got = want.astype(np.float32)
    got[3] = -0.0
    assert only(got, want, **exact).divergences[0].index == (3,)


def test_strings_show_where_they_part() -> None:
    """For text the index is that of the first different character."""
    report = only("a < b", "a > b", dtype="str", shape=(), compare=Comparison.EXACT)
    assert report.divergences[0].index == (2,)


floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(floats32, floats32)
def test_ulp_distance_is_a_metric_that_counts_neighbours(a: float, b: float) -> None:
    """Zero only for equal numbers, symmetric, and one more for the next neighbour away."""
    x, y = np.array([a], np.float32), np.array([b], np.float32)
    forward = int(ulp_distance(x, y)[0])
    assert forward == int(ulp_distance(y, x)[0])
    assert (forward == 0) == (a == b)
    away = np.nextafter(y, np.float32(np.inf if b >= a else -np.inf))
    if np.isfinite(away).all():
        assert int(ulp_distance(x, away)[0]) == forward + 1


@given(
    hnp.arrays(np.float64, (4,), elements=st.floats(-1e6, 1e6)),
    hnp.arrays(np.float32, (4,), elements=floats32),
    st.floats(1e-9, 1e-1),
    st.floats(1e-9, 1.0),
)
def test_the_rule_is_that_of_numpy_isclose(
    want: np.ndarray, got: np.ndarray, rtol: float, atol: float
) -> None:
    """Our verdict and NumPy's own never differ."""
    report = only(got, want, rtol=rtol, atol=atol)
    near = np.isclose(got.astype(np.float64), want, rtol=rtol, atol=atol)
    assert (report.divergences == ()) == bool(near.all())
    if report.divergences:
        assert report.divergences[0].outside == int((~near).sum())
        assert report.divergences[0].index == (int(np.argmin(near)),)
