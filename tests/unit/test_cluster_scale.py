"""cluster.scale: the simulation agrees with arithmetic where that can be done by hand."""

from dataclasses import replace

import pytest

from paritylab.cluster.scale import Costs, outlook

CHEAP = Costs(
    send=1e-9, receive=1e-9, record=0.0, task=1e-9, cell=1.0, order=1000.0, report=1000.0,
    result=500.0,
)  # fmt: skip


def test_with_nothing_in_the_way_places_are_all_that_counts() -> None:
    """64 cells of a second on 4 places take 16 seconds, and places are what limits it."""
    found = outlook(CHEAP, hosts=2, threads=2, cells=64, batch=1)
    assert found.seconds == pytest.approx(16.0, rel=1e-3)
    assert found.places == pytest.approx(1.0, rel=1e-3)
    assert found.first == "places"
    assert found.gigabytes == pytest.approx(64 * 500e-9)


def test_a_desk_that_needs_longer_than_the_places_is_the_limit() -> None:
    """A thousand places do not help when one process judges 50 cells a second."""
    slow = replace(CHEAP, receive=0.02)
    found = outlook(slow, hosts=100, threads=10, cells=10_000, batch=10)
    assert found.seconds == pytest.approx(200.0, rel=0.1)
    assert found.first == "the desk"


def test_a_scheduler_is_relieved_by_batches() -> None:
    """Tasks that cost the scheduler 5 ms: 16 cells in one cost a sixteenth of it."""
    slow = replace(CHEAP, cell=0.01, task=0.005)
    alone = outlook(slow, hosts=100, threads=10, cells=16_000, batch=1)
    together = outlook(slow, hosts=100, threads=10, cells=16_000, batch=16)
    assert alone.first == "the scheduler"
    assert alone.seconds == pytest.approx(80.0, rel=0.1)
    assert together.seconds < alone.seconds / 10


@pytest.mark.parametrize("hosts", [1, 3, 10, 1000])
def test_no_run_beats_its_ideal_and_no_server_is_busier_than_always(hosts: int) -> None:
    """Shares of busy time are shares."""
    found = outlook(replace(CHEAP, receive=1e-3), hosts=hosts, threads=4, cells=5_000)
    assert found.seconds >= found.ideal * 0.999
    for share in (found.desk, found.scheduler, found.places):
        assert 0 <= share <= 1.001


def test_a_scheduler_holds_no_more_than_a_limit_of_orders() -> None:
    """Orders of 1 MB for 16,000 places: 1 GB of them is under way, so 1,000 places have work."""
    large = replace(CHEAP, order=1e6)
    found = outlook(large, hosts=1000, threads=16, cells=32_000, batch=1)
    assert found.seconds == pytest.approx(32.0, rel=0.05)
    assert found.places == pytest.approx(1 / 16, rel=0.05)
