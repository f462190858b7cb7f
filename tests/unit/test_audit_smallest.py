"""audit.smallest: what is left is enough, and nothing of it can be left out."""

from hypothesis import given
from hypothesis import strategies as st

from paritylab.audit.smallest import smallest

NAMES = tuple("abcdefghijkl")
PARTS = st.sets(st.sampled_from(NAMES), min_size=1)


@given(st.lists(PARTS, min_size=1, max_size=4))
def test_one_of_the_sets_that_suffice_is_found_exactly(sufficient: list[set[str]]) -> None:
    """Whichever combinations break a cell, the answer is one of them that has no smaller one."""

    def breaks(names: tuple[str, ...]) -> bool:
        return any(part <= set(names) for part in sufficient)

    found = smallest(NAMES, breaks)
    assert breaks(found)
    assert not any(breaks(tuple(n for n in found if n != name)) for name in found)
    assert set(found) in sufficient


@given(PARTS)
def test_no_question_is_asked_twice(needed: set[str]) -> None:
    """A question is a run of a cell, and that takes time."""
    asked: list[tuple[str, ...]] = []

    def breaks(names: tuple[str, ...]) -> bool:
        asked.append(names)
        return needed <= set(names)

    assert set(smallest(NAMES, breaks)) == needed
    assert len(asked) == len(set(asked))
