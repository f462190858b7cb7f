"""Audits by way of a desk: the same observations as on one machine, or a refusal."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from bundles import stand_in
from distributed import LocalCluster

from paritylab.audit import conduct
from paritylab.audit.model import Audit
from paritylab.audit.plan import Request
from paritylab.cluster.cells import wanted_for
from paritylab.cluster.opening import opened
from paritylab.errands import Desk, Errand, Report
from paritylab.errors import EngineError
from paritylab.plan import Options, cells_of

__all__ = ["stand_in"]
VARIATIONS = ("repeat", "hash-seed", "cold", "fresh", "engine-docker")


class OtherCpu:
    """A desk whose answers are said to come from CPUs in turn."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.images, self.hosts, self.places = desk, desk.images, desk.hosts, 2
        self.numbers = itertools.count()

    def reports(self, batches: Iterable[Sequence[Errand]]) -> Iterator[Report]:
        """See errands.Desk."""
        for report in self.desk.reports(batches):
            executed = dataclasses.replace(report.executed, cpu=f"cpu-{next(self.numbers)}")
            yield dataclasses.replace(report, executed=executed)


def audit(project: Path, out: Path, through: Callable[[Desk], Desk] | None = None) -> Audit:
    """Audit the fixture's lab here, or on two Dask workers."""
    options = Options(engine="here", root=project)
    cells = cells_of(options)
    prepared = conduct.prepare(
        cells, options, Request(variations=VARIATIONS, pairs=0, together=False), jobs=2
    )
    if through is None:
        return conduct.run_audit(prepared, out=out, jobs=2)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0,
            silence_logs=50,
        ) as cluster,
        opened(cluster.scheduler_address, wanted_for(cells, options, use="audit")) as desk,
    ):  # fmt: skip
        return conduct.run_audit(prepared, out=out, desk=through(desk))


def seen(document: Audit) -> list[tuple[object, ...]]:
    """What an audit saw, whatever the order and the time it took."""
    return sorted(
        (one.cell, one.variations, one.repeat, one.phase, one.outcome, one.digest, one.moved)
        for one in document.observations
    )


def test_an_audit_on_a_cluster_sees_what_one_on_this_machine_does(
    project: Path, tmp_path: Path
) -> None:
    """Warm, fresh and cold workers, and workers with other variables: equal observations."""
    here, there = audit(project, tmp_path / "here"), audit(project, tmp_path / "there", lambda d: d)
    assert seen(there) == seen(here)
    assert {one.variations for one in there.observations} >= {("hash-seed",), ("cold",), ("fresh",)}
    assert [one.tier for one in there.cells] == [one.tier for one in here.cells]
    assert any("one engine" in one.why for one in there.skipped)


def test_hosts_of_different_cpus_are_no_place_for_an_audit(project: Path, tmp_path: Path) -> None:
    """A difference between hosts must never be told as the effect of a variation."""
    with pytest.raises(EngineError, match="different CPUs"):
        audit(project, tmp_path / "mixed", OtherCpu)
