"""Audits by way of a desk: the same observations as on one machine, or a refusal."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from bundles import stand_in
from distributed import LocalCluster
from test_cli import Done, paritylab

from paritylab.audit import conduct, durations
from paritylab.audit.engines import open_audit_engine
from paritylab.audit.evidence import gather
from paritylab.audit.model import Audit
from paritylab.audit.plan import Request
from paritylab.cluster.cells import wanted_for
from paritylab.cluster.opening import opened
from paritylab.errands import Desk, Errand, Report
from paritylab.errors import BundleError, EngineError
from paritylab.fleet import LocalFleet
from paritylab.hardware import cpu_class
from paritylab.plan import Options, cells_of
from paritylab.runner import Executed, Runner, Settings

__all__ = ["paritylab", "stand_in"]
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


class Node:
    """A desk with one host, which is this process and says that its CPU is ``cpu``."""

    def __init__(self, cpu: str) -> None:
        self.cpu, self.places = cpu, 1
        self.images: dict[str, str] = {}
        self.hosts: dict[str, int] = {}

    def reports(self, batches: Iterable[Sequence[Errand]]) -> Iterator[Report]:
        """See errands.Desk."""
        engine = open_audit_engine(Options(engine="here"))
        with LocalFleet(engine) as fleet, Runner(engine, fleet, Settings()) as runner:
            for errand in itertools.chain.from_iterable(batches):
                answer, versions = runner.execute(errand.key, errand.job)
                executed = Executed(answer=answer, versions=versions, cpu=self.cpu)
                self.hosts[self.cpu] = self.hosts.get(self.cpu, 0) + 1
                yield Report(id=errand.id, executed=executed, host=self.cpu, seconds=0.0)


def repeated(
    project: Path, out: Path, desk: Desk | None = None, *, stop: bool = False, resume: bool = False
) -> Audit:
    """An audit of one variation, here or on a desk's hosts; ``stop`` interrupts it at once."""
    options = Options(engine="here", root=project)
    prepared = conduct.prepare(
        cells_of(options), options, Request(variations=("repeat",), pairs=0), jobs=1
    )

    def tell(_: conduct.Step) -> None:
        if stop:
            raise KeyboardInterrupt

    return conduct.run_audit(prepared, out=out, resume=resume, jobs=1, tell=tell, desk=desk)


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


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("cpu-1", "cpu-2", id="there, then there"),
        pytest.param("cpu-1", None, id="there, then here"),
        pytest.param(None, "cpu-1", id="here, then there"),
    ],
)
def test_a_resumed_audit_stays_on_the_cpu_that_it_was_begun_on(
    project: Path, tmp_path: Path, first: str | None, second: str | None
) -> None:
    """Baselines of one CPU are never held against runs of another, whatever process made them."""
    out = tmp_path / "audit"
    assert repeated(project, out, first and Node(first), stop=True).partial
    with pytest.raises(EngineError, match="different CPUs") as caught:
        repeated(project, out, second and Node(second), resume=True)
    assert f"on {first or cpu_class()}, now there is {second or cpu_class()}:" in str(caught.value)
    whole = repeated(project, out, first and Node(first), resume=True)
    assert whole.partial is None


def test_an_audit_goes_on_on_other_machines_of_the_same_cpu(project: Path, tmp_path: Path) -> None:
    """Begun here, gone on with there, ended here: the document names the hosts of the middle."""
    out, node = tmp_path / "audit", Node(cpu_class())
    assert "cluster" not in repeated(project, out, stop=True).facts
    repeated(project, out, node, stop=True, resume=True)
    whole = repeated(project, out, resume=True)
    assert whole.partial is None
    assert whole.facts["cluster"] == {"cpu_class": cpu_class(), "hosts": [cpu_class()]}


def test_an_audit_on_a_cluster_says_so_and_is_not_packed(project: Path, tmp_path: Path) -> None:
    """This machine's CPU, kernel, engine and files are not told as those of the hosts."""
    out = tmp_path / "audit"
    found = repeated(project, out, Node("cpu-1"))
    assert found.facts["cluster"] == {"cpu_class": "cpu-1", "hosts": ["cpu-1"]}
    with pytest.raises(BundleError, match="on the hosts of a cluster") as caught:
        gather(out, project)
    assert "without --cluster" in str(caught.value.fix)


def test_a_bundle_of_a_cluster_s_audit_is_refused_before_anything_runs(
    paritylab: Callable[..., Done], tmp_path: Path
) -> None:
    """Not hours later; and no scheduler is asked."""
    done = paritylab("audit", "--cluster", "tcp://127.0.0.1:1", "--out", str(tmp_path / "a.zip"))
    assert done.returncode == 2
    assert "an audit on a cluster cannot be packed" in done.stderr
    assert f"fix: --out {tmp_path / 'a'};" in " ".join(done.stderr.split())  # it is wrapped
    assert list(tmp_path.glob("a*")) == []


def test_a_cluster_s_times_are_not_those_of_this_machine(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be told as what an audit takes here; nor do ours set the hosts' deadlines."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    started: list[dict[str, float]] = []
    conducted = conduct._Conductor.conduct

    def conducting(self: conduct._Conductor) -> Audit:
        started.append(self._known)
        return conducted(self)

    monkeypatch.setattr(conduct._Conductor, "conduct", conducting)
    repeated(project, tmp_path / "here")
    known = durations.known()
    assert known
    monkeypatch.setattr(durations, "median", lambda _: 1e6)
    repeated(project, tmp_path / "there", Node("cpu-1"))
    assert durations.known() == known
    repeated(project, tmp_path / "again")
    assert started == [{}, {}, known]
