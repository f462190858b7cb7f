"""Two one-sided tests (TOST): do seeded replicates have the expected mean, within a margin?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paritylab.audit.model import Equivalence

CONFIDENCE = 0.95
POWER = 0.8
"""The least power with which an equivalence is told; below, more replicates are due."""


def tost(
    output: str,
    replicates: NDArray[np.float64],
    expected: NDArray[np.float64],
    margin: NDArray[np.float64],
) -> Equivalence:
    """Test whether every element's mean over replicates is within ``margin`` of ``expected``.

    ``replicates`` is (n, elements), the other two (elements,). Per element two one-sided t tests
    (Schuirmann 1987), each at 1 - CONFIDENCE. All elements must pass, so the largest p-value counts
    and needs no correction (an intersection-union test, Berger 1982). The power is that at equal
    means, for all elements at once, a lower bound by Bonferroni.
    """
    count = len(replicates)
    center = replicates.mean(axis=0) - expected
    error = replicates.std(axis=0, ddof=1) / np.sqrt(count)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.minimum((center + margin) / error, (margin - center) / error)
    freedom = count - 1
    # Without scatter the mean is known: inside the margin, or not.
    sure = np.where(np.abs(center) < margin, 0.0, 1.0)
    p_values = np.where(error > 0, stats.t.sf(distance, freedom), sure)
    p_value = float(np.max(p_values, initial=0.0))
    return Equivalence(
        output=output,
        replicates=count,
        margin=float(np.max(margin, initial=0.0)),
        p_value=p_value,
        confidence=CONFIDENCE,
        power=_power(margin, error, freedom),
        equivalent=bool(p_value <= 1 - CONFIDENCE and np.isfinite(replicates).all()),
    )


def _power(margin: NDArray[np.float64], error: NDArray[np.float64], freedom: int) -> float:
    """Chance that all tests pass at equal means: 1 - sum of the misses, from noncentral t."""
    scattered = error > 0
    critical = stats.t.ppf(CONFIDENCE, freedom)
    one_side = stats.nct.cdf(critical, freedom, margin[scattered] / error[scattered])
    return float(max(0.0, 1.0 - 2.0 * np.sum(np.nan_to_num(one_side))))
