"""report: tables for people, results.json for programs."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from paritylab import catalog, matrixtable, report
from paritylab.matrix import Selection, cells
from paritylab.matrixtable import MatrixTable
from paritylab.model import CellResult, Divergence, Verdict


def result(verdict: Verdict, implementation: str = "tf1", **facts: object) -> CellResult:
    """A result of train on tf2."""
    known = {
        "cell": f"train-{implementation}@tf2-cpu",
        "lab": "train",
        "implementation": implementation,
        "environment": "tf2",
        "device": "cpu",
        "profile": "portable",
        "verdict": verdict,
        "seconds": 0.25,
    }
    return CellResult(**{**known, **facts})  # type: ignore[arg-type]


def text(results: list[CellResult]) -> str:
    """The summary as plain text, 160 columns."""
    console = Console(file=StringIO(), width=160)
    console.print(report.summary(results))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_table_shows_every_verdict_with_its_time_and_gaps_with_their_reason() -> None:
    """Nothing that did not run looks as if it had."""
    shown = text(
        [
            result(Verdict.IDENTICAL, "pytorch"),
            result(Verdict.UNSUPPORTED, "tf1", message="no sessions here"),
            result(Verdict.CLOSE, "tf2", bit_drift=True, message="bit drift: digest 1, recorded 2"),
        ]
    )
    assert "identical 0.25" in shown
    assert "unsupported: tf1 on tf2: no sessions here" in shown
    assert "close! 0.25" in shown
    assert "bit drift: digest 1" in shown
    assert "3 cells: 1 identical, 1 close, 1 unsupported" in shown


def test_what_is_no_more_than_close_for_one_reason_is_told_once() -> None:
    """On a processor without recorded digests twenty cells would say the same."""
    why = "no digest recorded for Vendor-9, only for Other-8"
    shown = text([result(Verdict.CLOSE, name, message=why) for name in ("tf1", "tf2")])
    assert f"2 cells: {why}" in shown
    assert shown.count(why) == 1


def test_divergence_is_shown_with_index_values_ulp_and_step() -> None:
    """A reader sees where two programs part without opening a file; markup is not obeyed."""
    first = Divergence(
        output="loss[bold]",
        index=(3,),
        step=3,
        expected="0.5",
        got="0.25",
        ulp=8388608,
        relative=0.5,
        allowed=1e-6,
        outside=7,
        total=10,
    )
    shown = text([result(Verdict.DIVERGED, divergences=(first,), message="loss[3]: …")])
    for part in ("loss[bold]", "[3]", "0.5", "0.25", "8,388,608", "5.00e-01", "7/10"):
        assert part in shown


def test_a_narrow_terminal_gets_marks_and_whole_names() -> None:
    """80 columns do not squeeze lab names out; every mark is explained."""
    wide = [
        result(verdict, implementation, environment=environment)
        for environment in ("tf1", "tf1-compat", "tf2")
        for implementation, verdict in (
            ("pytorch", Verdict.IDENTICAL),
            ("tf1", Verdict.CLOSE),
            ("tf2", Verdict.UNSUPPORTED),
        )
    ]
    console = Console(file=StringIO(), width=80)
    console.print(MatrixTable(wide))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "train" in shown
    assert "= identical, ~ close, - unsupported" in shown


def test_a_phone_of_a_terminal_gets_a_table_for_each_environment() -> None:
    """No mark is cut to an ellipsis, however many environments there are."""
    verdicts = {"pytorch": Verdict.IDENTICAL, "tf1": Verdict.CLOSE, "tf2": Verdict.UNSUPPORTED}
    found = [
        replace(result(verdict, implementation, environment=f"tf{number}"), lab="image-classifier")
        for number in range(1, 5)
        for implementation, verdict in verdicts.items()
    ]
    for width, tables in ((60, 4), (100, 1)):
        console = Console(file=StringIO(), width=width)
        console.print(MatrixTable(found))
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        rows = [line.split("│")[2:-1] for line in shown.splitlines() if "image-classifier" in line]
        assert len(rows) == tables
        assert [mark.strip() for row in rows for mark in row] == ["=", "~", "-"] * 4


@pytest.mark.parametrize("width", [30, 60, 90, 160])
def test_a_long_matrix_is_drawn_in_portions_that_look_like_one_table(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """What is printed of 120 labs at once, or 50 at a time, has the same letters and styles."""
    verdicts = list(Verdict)
    found = [
        replace(
            result(verdicts[number % 7], implementation, environment=environment),
            lab=f"lab-{number:0{1 + number % 9}}",
            seconds=10.0 ** (number % 5),
        )
        for number in range(120)
        for environment in ("tf1", "tf1-compat", "tf2")
        for implementation in ("pytorch", "tf2")
        if number % 11
    ]

    def printed() -> str:
        console = Console(file=StringIO(), width=width, force_terminal=True)
        report.show(console, found)
        return console.file.getvalue()  # type: ignore[attr-defined]

    portions = list(MatrixTable(found).portions(160))
    assert len(portions) == 3
    in_portions = printed()
    monkeypatch.setattr(matrixtable, "PORTION", 1000)
    assert in_portions == printed()
    console = Console(file=StringIO(), width=width, force_terminal=True)
    console.print(report.summary(found))
    assert in_portions == console.file.getvalue()  # type: ignore[attr-defined]


def test_green_needs_something_that_ran() -> None:
    """A run in which everything was unsupported proves nothing."""
    assert report.all_green([result(Verdict.CLOSE), result(Verdict.UNSUPPORTED)])
    assert not report.all_green([result(Verdict.UNSUPPORTED)])
    assert not report.all_green([result(Verdict.CLOSE), result(Verdict.TIMEOUT)])


def test_results_json_is_versioned_complete_and_written_whole(
    project: Path, tmp_path: Path
) -> None:
    """Programs find schema, host, locks and every field of every cell; strict JSON only."""
    chosen = cells(catalog.load(project), Selection())
    data = report.document([result(Verdict.CLOSE)], chosen, {"engine": "venv"})
    target = tmp_path / "deep/results.json"
    report.write_json(target, data)
    assert not list(target.parent.glob("*.partial"))
    again = json.loads(target.read_text(), parse_constant=pytest.fail)
    assert again["schema_version"] == report.SCHEMA_VERSION
    assert again["host"]["cpu"]
    assert again["environments"][0]["environment"] == "tiny"
    assert again["cells"][0]["verdict"] == "close"
