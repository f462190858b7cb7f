"""audit.plan: what runs, what a slow cell is spared, and what an estimate rests on."""

import io
import json
import re
from pathlib import Path

import pytest
from conftest import PROJECT
from rich.console import Console

from paritylab import cache, catalog, matrix
from paritylab.audit import conduct, durations, show
from paritylab.audit.durations import usual
from paritylab.audit.model import Observation, Outcome
from paritylab.audit.plan import (
    WORKER_SECONDS,
    Request,
    covered,
    estimate,
    plan,
    slow,
    standard,
)
from paritylab.audit.variations import HOLDS, VARIATIONS
from paritylab.matrix import Selection
from paritylab.model import Cell, Verdict
from paritylab.plan import Options


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    """Every supported cell of one environment."""
    loaded = catalog.load(PROJECT, environments=("tf2",))
    return [cell for cell in matrix.cells(loaded, Selection()) if not cell.unsupported]


def test_the_standard_plan_varies_more_than_ten_things_two_cpus_among_them(
    cells: list[Cell],
) -> None:
    """Whatever this machine lacks is skipped with a reason instead."""
    planned = plan(cells, Request(), engine="venv")
    singles = {one.variations[0] for one in planned.conditions if len(one.variations) == 1}
    singles |= {one.name for one in planned.compared}
    singles |= {one.variation for one in planned.skipped if one.variation}
    assert singles >= set(standard("venv"))
    assert {"cpu-haswell", "cpu-zen2"} <= singles
    assert len(standard("venv")) > 20
    assert all(one.why for one in planned.skipped)


def test_baselines_run_first_and_conditions_in_groups(cells: list[Cell]) -> None:
    """A group's workers are started once; everything is held against a baseline."""
    planned = plan(cells, Request(), engine="venv")
    assert [task.cell for task in planned.baselines] == cells
    groups = [task.condition.group for task in planned.tasks]
    assert len(set(groups)) == sum(a != b for a, b in zip(groups, [None, *groups], strict=False))
    assert planned.runs == len(planned.baselines) + len(planned.tasks)
    assert len({task.id for task in (*planned.baselines, *planned.tasks)}) == planned.runs


def test_a_slow_cell_is_spared_what_the_combination_asks_and_nothing_else(
    cells: list[Cell],
) -> None:
    """Other CPUs, threads, kernels and fresh workers are asked for alone, always."""
    spared = covered(plan(cells, Request(), engine="venv"))
    assert {("home",), ("time-zone",), ("locale",), ("order",), ("cold",)} <= spared
    alone = ("repeat", "fresh", "threads", "isa-native", "isa-avx2", "cpu-haswell", "cpu-zen2")
    assert not spared & {(name,) for name in alone}
    assert max(map(len, spared)) <= 2


def test_without_the_combination_nothing_is_spared(cells: list[Cell]) -> None:
    """There would be nothing that asks instead."""
    assert covered(plan(cells, Request(together=False), engine="venv")) == frozenset()
    few = Request(variations=("home", "locale", "memory"))
    assert covered(plan(cells, few, engine="venv")) == frozenset()


def test_a_first_run_that_waits_for_the_disk_makes_no_cell_slow() -> None:
    """What it took in an earlier audit counts, unless it is faster by now."""
    seen = {"a": 0.4, "b": 0.5, "c": 20.0, "new": 20.0}
    assert usual(seen, {"a": 0.6, "c": 2.0}) == {"a": 0.4, "b": 0.5, "c": 2.0, "new": 20.0}
    assert usual(seen, {}) == seen


def test_slow_is_slower_than_the_others() -> None:
    """On a busy machine all take long, and none is slow for that."""
    assert slow({"a": 0.4, "b": 0.5, "c": 30.0}) == {"c": 30.0}
    assert slow({"a": 40.0, "b": 50.0, "c": 60.0}) == {}
    assert slow({"a": 0.001, "b": 0.001, "c": 1.0}) == {}
    assert slow({}) == {}


def test_only_a_worker_that_serves_one_cell_is_not_warmed(cells: list[Cell]) -> None:
    """All others fork again and again: what is done ahead is done once."""
    planned = plan(cells[:1], Request(), engine="venv")
    keys = {t.condition.id: t.condition.key(t.cell, "portable") for t in planned.tasks}
    once = {name for name, key in keys.items() if key.jobs == 1}
    assert once == {"cold"}


def test_an_estimate_grows_with_known_times_and_shrinks_with_cores(cells: list[Cell]) -> None:
    """It is told before anything runs."""
    planned = plan(cells[:4], Request(), engine="venv")
    known = {cell.id: 10.0 for cell in cells}
    plain = estimate(planned, {}, profile="portable", jobs=2)
    assert estimate(planned, known, profile="portable", jobs=2) > plain > 0
    assert estimate(planned, {}, profile="portable", jobs=4) == pytest.approx(plain / 2)


def test_an_estimate_leaves_out_what_a_slow_cell_is_spared(cells: list[Cell]) -> None:
    """The plan holds it; whether a cell is slow is known once it was timed."""
    planned = plan(cells[:4], Request(), engine="venv")
    every = {cell.id: 1.0 for cell in cells[:4]}
    fast = estimate(planned, every, profile="portable", jobs=1)
    long = estimate(planned, every | {cells[0].id: 100.0}, profile="portable", jobs=1)
    mine = [t.condition.names for t in planned.tasks if t.cell is cells[0]]
    made = 1 + sum(names not in covered(planned) for names in mine)
    assert made < len(mine) / 2
    assert long - fast == pytest.approx(100 * made - (1 + len(mine)) - WORKER_SECONDS, abs=1e-6)


def said(cells: list[Cell]) -> str:
    """The first line of an audit's outline."""
    prepared = conduct.prepare(cells, Options(), Request(), jobs=2)
    console = Console(width=1000, record=True, file=io.StringIO())
    console.print(show.outline(prepared, jobs=2))
    return console.export_text().splitlines()[0]


def test_an_outline_says_where_its_time_is_a_guess(
    cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A constant is no measurement: nothing, some or all cells were timed here before."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path))
    some = cells[:3]
    assert ": 1 cell in 1 environment, " in said(some[:1])
    assert "; nothing was timed here yet: very roughly " in said(some)
    folder = cache.folder("audit")
    (folder / "durations.json").write_text(json.dumps({some[0].id: 40.0}))
    told = said(some)
    assert "; about " in told
    assert "; 2 of 3 cells are a guess, as they were never timed here; with 2 at a time" in told
    (folder / "durations.json").write_text(json.dumps({cell.id: 0.01 for cell in some}))
    told = said(some)
    assert "guess" not in told
    assert re.search(r"; about (a minute|\d+ minutes) with 2 at a time, and what the", told)


def test_no_estimate_is_worth_an_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be written, or holds nonsense, costs the estimate and nothing else."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path))
    (cache.folder("audit") / "durations.json").write_text('{"a": null}')
    assert durations.known() == {}
    monkeypatch.setenv("PARITYLAB_CACHE", "/proc/nothing/can/be/made")
    seen = Observation(
        cell="a",
        variations=(),
        repeat=0,
        outcome=Outcome.IDENTICAL,
        verdict=Verdict.CLOSE,
        seconds=1.0,
        phase="plan",
    )
    durations.learn([seen])
    assert durations.known() == {}


def test_the_auditor_s_page_tells_every_variation_and_hold() -> None:
    """A new variation is not known until it is in docs/auditing.md, word for word."""
    page = (PROJECT / "docs/auditing.md").read_text()
    for name, one in VARIATIONS.items():
        assert f"| `{name}` | {one.changes} | {one.promise} |" in page, name
    for name, one in HOLDS.items():
        assert f"| `{name}` | {one.changes} |" in page, name


def test_planted_labs_are_a_project_of_their_own() -> None:
    """`paritylab audit` can be run in their folder, by hand."""
    root = Path(PROJECT / "tests/irreproducible")
    assert catalog.find_root(root / "labs") == root.resolve()
