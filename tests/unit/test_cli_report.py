"""paritylab report: exit codes and files."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import FIXTURES
from test_report import result

from paritylab import report
from paritylab.cli import main
from paritylab.model import Verdict

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def paritylab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `paritylab report` in this process; gives exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["paritylab", "report", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def test_a_page_is_written_and_named(paritylab: Run, tmp_path: Path) -> None:
    """Also into a folder that is not there yet."""
    source, page = tmp_path / "r.json", tmp_path / "deep/report.html"
    report.write_json(source, report.document([result(Verdict.CLOSE)], [], {"engine": "venv"}))
    code, out, _ = paritylab(str(source), "--html", str(page))
    assert code == 0
    assert str(page) in out
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("path", sorted((FIXTURES / "results").iterdir()), ids=lambda p: p.stem)
def test_a_broken_file_exits_with_2_and_leaves_the_old_page(
    paritylab: Run, tmp_path: Path, path: Path
) -> None:
    """No traceback, no half page; a page that was there stays."""
    page = tmp_path / "report.html"
    page.write_text("old")
    code, _, err = paritylab(str(path), "--html", str(page))
    assert code == 2, err
    assert "Traceback" not in err
    assert page.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_is_told_with_the_option(
    paritylab: Run, tmp_path: Path
) -> None:
    """Exit 2 and what to name instead."""
    source = tmp_path / "r.json"
    source.write_text(json.dumps({"schema_version": 1, "cells": []}))
    code, _, err = paritylab(str(source), "--html", str(tmp_path))
    assert code == 2
    assert "is a folder" in " ".join(err.split())
    assert "--html" in err
