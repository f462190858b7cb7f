"""grade.seeds: drawn so that nobody foresees them, read so that a run can be repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paritylab.errors import UsageError
from paritylab.grade import seeds


def test_drawn_seeds_differ_and_fit() -> None:
    """Each is one that NumPy takes, and no two runs share theirs."""
    first, second = seeds.draw(50), seeds.draw(50)
    assert len({*first, *second}) == 100
    for seed in first:
        np.random.RandomState(seed)


@given(st.lists(st.integers(0, seeds.SEEDS - 1), min_size=1, unique=True))
def test_what_is_shown_can_be_typed(chosen: list[int]) -> None:
    """Seeds written with commas, as a run prints them, are read back."""
    assert seeds.parse(",".join(map(str, chosen))) == tuple(chosen)
    assert seeds.parse(" , ".join(map(str, chosen))) == tuple(chosen)


@given(st.text())
def test_anything_else_is_refused_in_words(text: str) -> None:
    """No text makes it raise anything but UsageError, or gives a seed out of range."""
    try:
        found = seeds.parse(text)
    except UsageError:
        return
    assert all(0 <= seed < seeds.SEEDS for seed in found)


@pytest.mark.parametrize(
    "text", ["", "1,,2", "1,1", "-1", "1.5", str(2**32), "1e3", "\u0661", "9" * 5000]
)
def test_hostile_seeds(text: str) -> None:
    """Empty, doubled, negative, broken, too large, other digits: refused."""
    with pytest.raises(UsageError, match="--seeds"):
        seeds.parse(text)
