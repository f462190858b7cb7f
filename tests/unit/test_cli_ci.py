"""cli: matrix, merge and --shard as scripts meet them; exit codes and words."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_merge import EVERY, changed, told, written

from paritylab.cli import main
from paritylab.model import Verdict

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def paritylab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], project: Path
) -> Run:
    """Run the command line in this process, in the fixture project: code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("PARITYLAB_ROOT", str(project))
        monkeypatch.setattr(sys, "argv", ["paritylab", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--shard", "3/2"], "`3/2` is no shard"),
        (["run", "--shard", "1/9"], "9 shards cannot be made of 2 cells that run"),
        (["run", "--balance-by", "x.json"], "--balance-by is for --shard"),
        (["run", "--shard", "1/2", "--balance-by", "none.json"], "none.json cannot be read"),
        (["matrix", "--shards", "9"], "--shards 2"),
        (["matrix", "--shards", "0"], "greater than or equal to 1"),
        (["matrix", "--gitlab"], "add --shards 5"),
        (["merge", "none.json"], "none.json cannot be read"),
        (["merge"], "Missing argument"),
        (["bench", "--only", "z"], "unknown figure `z`"),
    ],
)
def test_wrong_input_exits_with_2_and_says_what_to_type(
    paritylab: Run, arguments: list[str], said: str
) -> None:
    """No traceback, and nothing is run or measured."""
    code, _, told = paritylab(*arguments)
    assert code == 2, told
    assert said in " ".join(told.split())
    assert "Traceback" not in told


def test_matrix_in_shards_is_a_list_of_jobs(paritylab: Run) -> None:
    """One object per job for a CI system of any kind; the same split as `run --shard` makes."""
    code, out, _ = paritylab("matrix", "--json", "--shards", "2")
    jobs = json.loads(out)
    assert code == 0
    assert [job["shard"] for job in jobs] == ["1/2", "2/2"]
    assert {job["environments"][0] for job in jobs} == {"tiny"}
    assert sorted(len(job["cells"]) for job in jobs) == [1, 2]  # one cell is unsupported
    assert "1/2" in paritylab("matrix", "--shards", "2")[1]


def test_merge_writes_every_report_and_ends_as_a_run_would(paritylab: Run, tmp_path: Path) -> None:
    """Exit 1 for a red cell, 0 without; results, JUnit and durations are there either way."""
    folder = tmp_path / "parts"
    folder.mkdir()
    parts = written(folder, 3)
    names = [str(path) for path in parts]
    files = ["--out", str(folder / "all.json"), "--junitxml", str(folder / "all.xml")]
    files += ["--durations", str(folder / "durations.json")]
    row = '{"cell": "lab0-tf1@env-a-cuda", "lab": "lab0", "environment": "env-a", "seconds": 3}'
    (folder / "durations.json").write_text(
        f'{{"schema_version": 1, "setup_seconds": 7, "cells": [{row}]}}'
    )
    code, out, _ = paritylab("merge", *reversed(names), *files)
    assert code == 1
    assert f"{len(EVERY)} cells: " in out
    assert len(json.loads((folder / "all.json").read_text())["cells"]) == len(EVERY)
    assert (folder / "all.xml").read_bytes().startswith(b"<?xml")
    learned = json.loads((folder / "durations.json").read_text())
    there = {one["cell"] for one in learned["cells"]}
    assert learned["setup_seconds"] == 7
    assert there == {"lab0-tf1@env-a-cuda", *(one.id for one in EVERY if told(one).verdict.green)}
    for path in parts:
        changed(path, _mend)
    assert paritylab("merge", *names, *files)[0] == 0
    changed(parts[0], lambda data: data["project"].update(commit="2" * 40))
    (folder / "all.json").unlink()
    code, _, said = paritylab("merge", *names, *files)
    assert code == 2
    assert "different commits" in said
    assert not (folder / "all.json").exists()


def _mend(data: dict[str, list[dict[str, object]]]) -> None:
    for one in data["cells"]:
        if one["verdict"] == Verdict.DIVERGED:
            one["verdict"] = Verdict.CLOSE
