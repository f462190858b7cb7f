"""How far curves are from one another; pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paritylab.compare import ulp_distance

Array = NDArray[np.float64]


def padded(values: Array, length: int) -> Array:
    """Return ``values`` with NaN up to ``length``, cut there."""
    return np.concatenate([values, np.full(max(0, length - len(values)), np.nan)])[:length]


def median_of(arrays: list[Array], length: int) -> Array:
    """Return the middle of the numbers at each place (the lower of two), NaN where none is."""
    if not arrays or not length:
        return np.zeros(length)
    stacked = np.sort(np.stack(arrays), axis=0)  # NaN last
    last = np.maximum(np.count_nonzero(~np.isnan(stacked), axis=0) - 1, 0)
    middle: Array = stacked[last // 2, np.arange(length)]
    return middle


def distances_of(arrays: list[Array], middle: Array) -> tuple[list[Array], str]:
    """Return how far each curve is from the middle one, and what that is counted in.

    ``ULP``, representable numbers of float32, where every value is one; else ``relative``:
    |value - middle| / |middle|, and |value| where the middle is 0. NaN where a side is not finite.
    """
    with np.errstate(all="ignore"):
        rounded = [one.astype(np.float32) for one in arrays]
        single = all(
            np.array_equal(one, few.astype(np.float64), equal_nan=True)
            for one, few in zip(arrays, rounded, strict=True)
        )
        if single and arrays:
            target = middle.astype(np.float32)
            found = [ulp_distance(few, target).astype(np.float64) for few in rounded]
        else:
            found = [
                np.where(middle == 0, np.abs(one), np.abs(one - middle) / np.abs(middle))
                for one in arrays
            ]
    for one, distance in zip(arrays, found, strict=True):
        distance[~np.isfinite(one) | ~np.isfinite(middle)] = np.nan
    return found, "ULP" if single else "relative"
