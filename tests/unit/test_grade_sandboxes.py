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
def test_submissions_take_no_more_than_there_is(
    memory_mb: int, cores: int, each_mb: int, workers: int, isolation: Isolation
) -> None:
    """However little there is, one at a time; several have their memory and processors."""
    found = places(
        memory_mb=memory_mb, cores=cores, each_mb=each_mb, workers=workers, isolation=isolation
    )
    assert 1 <= found <= cores
    if found > 1:
        # Besides the jobs' containers, those that are made meanwhile and hold a worker.
        ahead = isolation is Isolation.CONTAINER
        assert found * workers * (each_mb + WORKERS_MB * ahead) <= memory_mb
        assert found * (1 + ahead) <= cores


@pytest.mark.parametrize(
    ("cores", "gib", "container", "fork"),
    [(2, 24, 1, 2), (4, 16, 1, 2), (8, 32, 3, 4), (8, 64, 4, 8)],
)
def test_a_course_of_two_frameworks_keeps_the_processors_busy(
    cores: int, gib: int, container: int, fork: int
) -> None:
    """Two cores with 24 GiB graded one submission at a time: lanes were thought to need twice
    their memory, as if each were made anew."""
    found = {
        isolation: places(
            memory_mb=int(gib * 1024 * 0.8), cores=cores, each_mb=3072, workers=2,
            isolation=isolation,
        )
        for isolation in Isolation
    }  # fmt: skip
    assert found == {Isolation.CONTAINER: container, Isolation.FORK: fork}
