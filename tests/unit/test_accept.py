"""accept: expected.json comes from the oracle, and only when every implementation agrees."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import with_cpu_bits

from paritylab import catalog
from paritylab.accept import accept
from paritylab.expected import read_expected
from paritylab.matrix import Selection, cells
from paritylab.model import Cell, CellResult, CpuBits, Verdict


def result(cell: Cell, verdict: Verdict, digest: str | None = None) -> CellResult:
    """What a run would have said of the cell."""
    return CellResult(
        cell=cell.id,
        lab=cell.lab.slug,
        implementation=cell.implementation,
        environment=cell.environment.name,
        device=cell.device,
        profile="portable",
        verdict=verdict,
        digest=digest,
        message="y[3]: expected 1.0, got 2.0",
    )


def locked(cell: Cell) -> Cell:
    """The cell in an environment that has a lock."""
    stack = replace(cell.environment.stacks["cpu"], lock_digest="1" * 64)
    return replace(cell, environment=replace(cell.environment, stacks={"cpu": stack}))


def test_refuses_while_one_implementation_disagrees(project: Path) -> None:
    """One red cell is enough; the sentence names it."""
    chosen = cells(catalog.load(project), Selection())
    results = [
        result(chosen[0], Verdict.CLOSE, "a" * 64),
        result(chosen[1], Verdict.UNSUPPORTED),
        result(chosen[2], Verdict.DIVERGED),
    ]
    acceptance = accept(chosen[0].lab, chosen, results)
    assert acceptance.refused == ("double-tf2@tiny-cpu: diverged: y[3]: expected 1.0, got 2.0",)


def test_digests_are_recorded_kept_for_cells_not_run_and_replaced_by_new_ones(
    project: Path,
) -> None:
    """A machine that cannot run an environment does not erase its digests."""
    chosen = [locked(cell) for cell in cells(catalog.load(project), Selection())]
    lab = chosen[0].lab
    green = [result(chosen[0], Verdict.CLOSE, "a" * 64), result(chosen[2], Verdict.CLOSE, "b" * 64)]
    accept(lab, [chosen[0], chosen[2]], green).write()
    again = replace(green[0], digest="c" * 64)
    acceptance = accept(lab, [chosen[0]], [again])
    assert [line[0] for line in acceptance.diff[3:]] == ["-", "+"]
    acceptance.write()
    entries = {e.implementation: e.digest for e in read_expected(lab).digests}
    assert entries == {"pytorch": "c" * 64, "tf2": "b" * 64}


@pytest.mark.parametrize(
    ("lock", "hardware", "bits", "kept"),
    [
        ("1" * 64, "Vendor-9", CpuBits.FAMILY, True),
        ("2" * 64, "Vendor-9", CpuBits.FAMILY, False),
        ("1" * 64, None, CpuBits.FAMILY, False),
        ("1" * 64, "Vendor-9-17 32K/1024K", CpuBits.FAMILY, False),
        ("1" * 64, "Vendor-9-17 32K/1024K", CpuBits.MODEL, True),
        ("1" * 64, "Vendor-9", CpuBits.MODEL, False),
        ("1" * 64, "Vendor-9", None, False),
    ],
)
def test_digests_of_other_cpus_are_kept_while_a_run_can_meet_them(
    project: Path, lock: str, hardware: str | None, bits: CpuBits | None, kept: bool
) -> None:
    """Nobody asks for the bits of an old lock, or of a kind that lab.toml does not name."""
    cell = with_cpu_bits(locked(cells(catalog.load(project), Selection())[0]), bits)
    ours = [result(cell, Verdict.CLOSE, "a" * 64)]
    accept(cell.lab, [cell], ours).write()
    text = json.loads(cell.lab.expected.read_text())
    other = {**text["digests"][0], "lock": lock, "hardware": hardware, "digest": "b" * 64}
    if hardware is None:
        del other["hardware"]
    text["digests"].append(other)
    cell.lab.expected.write_text(json.dumps(text))
    accept(cell.lab, [cell], ours).write()
    found = {entry.digest for entry in read_expected(cell.lab).digests}
    assert found == {"a" * 64} | ({"b" * 64} if kept else set())


def test_what_has_no_lock_is_not_recorded(project: Path) -> None:
    """Bits of an interpreter that nobody can have again are no evidence."""
    chosen = cells(catalog.load(project), Selection())
    accept(chosen[0].lab, [chosen[0]], [result(chosen[0], Verdict.CLOSE, "a" * 64)]).write()
    assert read_expected(chosen[0].lab).digests == ()


def test_accepting_twice_changes_nothing(project: Path) -> None:
    """The text is a function of lab and digests: no noise in reviews."""
    lab = catalog.load(project).labs["double"]
    accept(lab, [], []).write()
    assert accept(lab, [], []).diff == ()


@pytest.mark.parametrize(("moved", "rewritten"), [(1e-15, False), (1e-6, True)])
def test_values_that_differ_by_the_oracles_rounding_stay(
    project: Path, moved: float, rewritten: bool
) -> None:
    """NumPy rounds otherwise on another CPU: its digests are added, and no value is rewritten."""
    lab = catalog.load(project).labs["double"]
    accept(lab, [], []).write()
    recorded = json.loads(lab.expected.read_text())
    values = recorded["outputs"]["doubled"]["values"]
    values[1] *= 1 + moved
    lab.expected.write_text(json.dumps(recorded))
    written = json.loads(accept(lab, [], []).text)["outputs"]["doubled"]["values"]
    assert (written != values) is rewritten
