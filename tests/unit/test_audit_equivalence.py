"""audit.equivalence: the tests that a statistical tier rests on."""

import numpy as np
import pytest
from scipy import stats

from paritylab.audit.equivalence import CONFIDENCE, tost

ZERO = np.zeros(1)


def test_p_value_is_that_of_two_one_sided_t_tests() -> None:
    """Against SciPy's own one-sided tests, the larger of both p-values."""
    values = np.random.RandomState(1).normal(0.1, 0.5, (20, 1))
    low = stats.ttest_1samp(values[:, 0], -0.4, alternative="greater").pvalue
    high = stats.ttest_1samp(values[:, 0], 0.4, alternative="less").pvalue
    found = tost("x", values, ZERO, np.array([0.4]))
    assert found.p_value == pytest.approx(max(low, high))


def test_an_honest_estimate_is_equivalent_and_a_biased_one_is_not() -> None:
    """The mean counts, not the scatter: the same noise around another value fails."""
    noise = np.random.RandomState(2).normal(0, 0.1, (30, 5))
    margin = np.full(5, 0.2)
    assert tost("x", noise, np.zeros(5), margin).equivalent
    biased = noise + np.array([0, 0, 0.3, 0, 0])
    assert not tost("x", biased, np.zeros(5), margin).equivalent


def test_too_few_or_too_wild_replicates_are_no_evidence() -> None:
    """Not to see a difference is no equivalence; the power says so."""
    wild = np.random.RandomState(3).normal(0, 1.0, (4, 1))
    found = tost("x", wild, ZERO, np.array([0.2]))
    assert not found.equivalent
    assert found.power < 0.2


def test_one_bad_element_of_many_fails_the_claim() -> None:
    """The claim is about every element, so the worst p-value is told."""
    values = np.zeros((10, 100)) + np.random.RandomState(4).normal(0, 1e-3, (10, 100))
    values[:, 42] += 1
    assert tost("x", values, np.zeros(100), np.full(100, 0.1)).p_value > 0.99


def test_without_scatter_only_the_margin_decides() -> None:
    """Equal replicates have no t distribution; a NaN is never equivalent."""
    assert tost("x", np.full((5, 1), 0.1), ZERO, np.array([0.2])).equivalent
    assert not tost("x", np.full((5, 1), 0.3), ZERO, np.array([0.2])).equivalent
    assert not tost("x", np.full((5, 1), np.nan), ZERO, np.array([0.2])).equivalent


def test_level_and_power_hold_in_simulation() -> None:
    """At the margin's edge at most 5% pass; at equal means as many as the power says, or more."""
    draws = np.random.RandomState(5)
    margin = np.array([0.5])
    edge = [tost("x", draws.normal(0.5, 0.4, (12, 1)), ZERO, margin) for _ in range(800)]
    assert np.mean([one.equivalent for one in edge]) < 1 - CONFIDENCE + 0.025
    same = [tost("x", draws.normal(0.0, 0.4, (12, 1)), ZERO, margin) for _ in range(800)]
    promised = np.mean([one.power for one in same])
    assert np.mean([one.equivalent for one in same]) > promised - 0.05
    assert promised > 0.5
