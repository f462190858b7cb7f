"""grade.sandboxes: how many submissions a machine has room for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paritylab.grade.lanes import Isolation
from paritylab.grade.sandboxes import WORKERS_MB, places

COUNTS = {
    "memory_mb": st.integers(1, 1 << 20),
    "cores": st.integers(1, 256),
    "each_mb": st.integers(WORKERS_MB + 1, 1 << 17),
    "workers": st.integers(1, 3),
}


@given(isolation=st.sampled_from(Isolation), **COUNTS)
def test_as_many_submissions_as_fit_and_no_more(
    memory_mb: int, cores: int, each_mb: int, workers: int, isolation: Isolation
) -> None:
    """However little there is, one at a time."""
    found = places(
        memory_mb=memory_mb, cores=cores, each_mb=each_mb, workers=workers, isolation=isolation
    )
    assert 1 <= found <= cores
    # Besides the jobs' containers, those that are made meanwhile and hold a worker.
    ahead = WORKERS_MB if isolation is Isolation.CONTAINER else 0
    needed = workers * (each_mb + ahead)
    assert found == 1 or found * needed <= memory_mb
    assert found == cores or (found + 1) * needed > memory_mb


@pytest.mark.parametrize(
    ("cores", "gib", "container", "fork"),
    [(2, 24, 2, 2), (4, 16, 1, 2), (8, 32, 3, 4), (8, 64, 6, 8), (8, 128, 8, 8)],
)
def test_a_lane_that_lives_on_needs_its_own_memory_alone(
    cores: int, gib: int, container: int, fork: int
) -> None:
    """Two cores with 24 GiB graded one submission at a time: every lane was thought to need twice
    its memory, as if another one were made beside it, and as if somebody were in that."""
    found = {
        isolation: places(
            memory_mb=int(gib * 1024 * 0.8), cores=cores, each_mb=3072, workers=2,
            isolation=isolation,
        )
        for isolation in Isolation
    }  # fmt: skip
    assert found == {Isolation.CONTAINER: container, Isolation.FORK: fork}
