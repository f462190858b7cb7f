"""html.report: a run as one page, whatever strings its cells hold."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from classroom import lab, leaves_at, problem, right
from hypothesis import given, settings
from hypothesis import strategies as st
from markup import elements, loads, parsed, text

from paritylab.compare import compare
from paritylab.html import report, tidy
from paritylab.html.report import page
from paritylab.judge import describe
from paritylab.model import CellResult, Verdict
from paritylab.results import Results

HOSTILE = (
    """</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>"' &amp; \x1b[31m\x00"""
)


def cell(implementation: str, verdict: Verdict, **facts: Any) -> CellResult:
    """A cell of train on tf2."""
    return CellResult(
        cell=f"train-{implementation}@tf2-cpu",
        lab="train",
        implementation=implementation,
        environment="tf2",
        device="cpu",
        profile="portable",
        verdict=verdict,
        seconds=0.25,
        versions={"torch": "2.13.0+cpu"},
        **facts,
    )


@pytest.fixture(scope="module")
def run() -> Results:
    """A green cell, one whose loss leaves the oracle's curve at step 61, and a gap."""
    of = lab()
    wanted = problem(of)
    good, bad = right(wanted, "pytorch"), leaves_at(right(wanted, "tf2"), 61)
    found = []
    for name, values, verdict in (
        ("pytorch", good, Verdict.CLOSE),
        ("tf2", bad, Verdict.DIVERGED),
    ):
        seen = compare(values, wanted.expected[name], of.outputs)
        found.append(
            cell(
                name,
                verdict,
                message=describe(seen.divergences[0]) if seen.divergences else "",
                divergences=seen.divergences,
                max_error=seen.max_error,
                max_ulp=seen.max_ulp,
                tolerance_used=seen.tolerance_used,
                curves={"loss": values["loss"].astype(float).tolist()},
                expected_curves={"loss": np.asarray(wanted.expected[name]["loss"]).tolist()},
                stdout="epoch 1\n",
                digest="a" * 64,
            )
        )
    found.append(cell("tf1", Verdict.UNSUPPORTED, message="no sessions here"))
    return Results(
        created="2026-11-22T19:00:00+00:00",
        paritylab="0.1.0",
        host={"cpu": "Some CPU", "cores": 2},
        run={"engine": "docker", "seed": None, "images": {"tf2-cpu": "sha256:1234abcd"}},
        environments=({"environment": "tf2", "device": "cpu", "python": "3.11", "lock": "f" * 64},),
        cells=tuple(found),
    )


def test_the_page_says_all_that_the_run_knows(run: Results) -> None:
    """Verdict, time, errors, divergence, digest, versions, image, host and the reason of a gap."""
    shown = text(page(run))
    for part in (
        "1 of 2 cells are green", "0.25 s", "loss[61] (first at step 61)", "no sessions here",
        "a" * 64, "torch 2.13.0+cpu", "sha256:1234abcd", "f" * 64, "Some CPU", "epoch 1",
        "115 of 176", "as the lab says",
    ):  # fmt: skip
        assert part in shown, part


def test_the_page_is_valid_html_that_loads_nothing(run: Results) -> None:
    """It opens from a disk, offline, for ever."""
    made = page(run)
    assert parsed(made).tag == "html"
    assert loads(made) == []
    policies = [meta.get("content", "") for meta in parsed(made).iter("meta")]
    assert any(policy.startswith("default-src 'none'") for policy in policies)


def test_every_link_of_the_page_has_its_target(run: Results) -> None:
    """A choice in the matrix leads to that cell's evidence."""
    made = page(run)
    links = re.findall(r'href="#([^"]+)"', made)
    targets = re.findall(r' id="([^"]+)"', made)
    assert set(links) <= set(targets)
    assert len(targets) == len(set(targets))
    assert {link for link in links if link.startswith("cell-")} == {"cell-0", "cell-1", "cell-2"}


def test_a_red_cell_has_its_curve_over_the_expected_one(run: Results) -> None:
    """One picture for the lab, one more for the cell that diverged."""
    pictures = re.findall(r'aria-label="(train[^"]*)"', page(run))
    assert [p.split(":")[0] for p in pictures] == ["train", "train-tf2@tf2-cpu"]


def test_hostile_strings_make_no_element(run: Results) -> None:
    """The page of a hostile run has the elements of the same run with harmless strings."""
    assert elements(page(spoken(run, HOSTILE))) == elements(page(spoken(run, "harmless")))


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_shown_and_makes_no_element(said: str) -> None:
    """Whatever a program prints or an output is called, it is text; so is an empty string."""
    bare = Results(
        created="", paritylab="", host={}, run={}, environments=(),
        cells=(cell("tf1", Verdict.FAILED),),
    )  # fmt: skip
    made = page(spoken(bare, f"x{said}x"))
    assert elements(made) == elements(page(spoken(bare, "x")))
    # Text content of HTML has one kind of line end.
    seen = tidy(f"x{said}x").replace("\r\n", "\n").replace("\r", "\n")
    assert seen in text(made)


def spoken(run: Results, said: str) -> Results:
    """The run with ``said`` in every string that comes from programs or people."""
    cells = tuple(
        replace(
            one,
            cell=f"{one.cell} {said}",
            lab=said,
            message=said,
            stdout=said,
            stderr=said,
            texts={said: said},
            measured={said + "m": [said]},
            versions={said: said},
            divergences=tuple(
                replace(first, output=said, expected=said, got=said) for first in one.divergences
            ),
            max_error={said: 1.0},
            max_ulp={said: 1},
            tolerance_used={said: 1.0},
            curves=dict.fromkeys([said] if one.curves else [], one.curves.get("loss", [])),
            expected_curves={},
        )
        for one in run.cells
    )
    return replace(
        run,
        cells=cells,
        created=said,
        paritylab=said,
        host={said: said},
        run={"engine": said, said + "r": said, "images": {"tf2-cpu": said}},
    )


def test_a_run_without_cells_or_facts_is_a_page_too() -> None:
    """An empty results.json is shown as such."""
    empty = Results(created="", paritylab="", host={}, run={}, environments=(), cells=())
    assert "nothing ran" in text(page(empty))


def test_numbers_that_are_not_finite_are_words() -> None:
    """A tolerance of zero has no share, a difference from infinity no size."""
    odd = cell(
        "tf1", Verdict.DIVERGED, max_error={"a": math.inf}, tolerance_used={"a": math.inf},
        max_ulp={}, curves={"c": [math.nan, math.inf]},
    )  # fmt: skip
    run = Results(created="", paritylab="", host={}, run={}, environments=(), cells=(odd,))
    assert text(page(run)).count("without bound") == 2


def test_a_large_page_comes_in_pieces_of_a_cell(run: Results, monkeypatch: Any) -> None:
    """200 labs: no piece is longer than what a cell has to say, and no curve is drawn early."""
    drawn: list[str] = []

    def counted(cells: Any) -> list[Any]:
        drawn.append(cells[0].lab)
        return []

    monkeypatch.setattr(report, "lab_figures", counted)
    green, *_ = run.cells
    many = [
        replace(green, lab=f"lab-{n:03}", cell=f"lab-{n:03}-{name}@tf2-cpu", implementation=name)
        for n in range(200)
        for name in ("pytorch", "tf2")
    ]
    longest = 0
    for piece in report.pieces(replace(run, cells=tuple(many))):
        if "script>" not in piece and "--" not in piece:  # the page's own script and style
            longest = max(longest, len(piece))
        if "matrix" in piece:
            assert not drawn
    assert drawn == [f"lab-{n:03}" for n in range(200)]
    assert longest < 6000
