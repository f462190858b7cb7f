"""results: results.json read back, or an error in words."""

import json
import math
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES
from hypothesis import given, settings
from hypothesis import strategies as st
from test_report import result

from paritylab import report
from paritylab.errors import UsageError
from paritylab.model import Divergence, Verdict
from paritylab.results import read

FAULTS = {
    "empty.json": "it is empty",
    "truncated.json": "it is cut off",
    "not-json.json": "it is no JSON",
    "not-utf8.json": "it is no UTF-8 text",
    "newer-schema.json": "schema_version is 2, this paritylab reads 1",
    "no-schema.json": "schema_version is None",
    "a-list.json": "its JSON is a list",
    "no-cells.json": "it has no list `cells`",
    "cell-is-a-number.json": "cells[0] is no object",
    "cell-without-verdict.json": "cells[0].verdict: Field required",
    "unknown-verdict.json": "cells[0].verdict: Input should be 'identical'",
    "curve-of-words.json": "cells[0].curves.loss.0: Input should be a valid number",
    "host-is-a-list.json": "Input should be a valid dictionary",
}


def test_every_broken_fixture_is_tested() -> None:
    """The folder and the table above hold the same names."""
    assert {path.name for path in (FIXTURES / "results").iterdir()} == set(FAULTS)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_broken_file_is_told_with_its_place_and_what_to_type(name: str) -> None:
    """The reader learns what is wrong with the file, not with our code."""
    with pytest.raises(UsageError) as fault:
        read(FIXTURES / "results" / name)
    assert FAULTS[name] in str(fault.value)
    assert name in str(fault.value)
    assert "fix: " in str(fault.value)


def test_missing_folder_and_bottomless_files_are_errors_in_words(tmp_path: Path) -> None:
    """What cannot even be parsed: no such file, a folder, brackets without end."""
    deep = tmp_path / "deep.json"
    deep.write_text('{"schema_version": 1, "cells": ' + "[" * 200_000)
    for path, said in (
        (tmp_path / "none.json", "No such file"),
        (tmp_path, "Is a directory"),
        (deep, "nested too deeply"),
    ):
        with pytest.raises(UsageError, match=said):
            read(path)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_wherever_a_file_is_cut_off_it_is_told_as_such(data: st.DataObject) -> None:
    """A full disk or a broken download: at any byte the words are the same."""
    facts = {"n": [1.5e-7, True, None, 'a\\u00e9\n"b', {"x": []}], "ü": "é"}
    text = json.dumps({"schema_version": 1, "cells": [], "run": facts}, indent=1)
    length = data.draw(st.integers(1, len(text) - 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.json"
        path.write_text(text[:length])
        with pytest.raises(UsageError, match="it is cut off"):
            read(path)


def test_what_was_written_comes_back_equal(tmp_path: Path) -> None:
    """Infinity and NaN, written as null because strict JSON has neither, come back as they were."""
    first = Divergence(
        output="loss", index=(3,), step=3, expected="0.5", got="inf", ulp=None, relative=None,
        allowed=1e-6, outside=7, total=10,
    )  # fmt: skip
    known = result(
        Verdict.DIVERGED,
        divergences=(first,),
        tolerance_used={"loss": math.inf, "w": 0.5},
        max_error={"loss": math.inf},
        curves={"loss": [1.0, math.nan]},
        expected_curves={"loss": [1.0, 2.0]},
        peak_memory_mb=None,
    )
    path = tmp_path / "r.json"
    report.write_json(path, report.document([known], [], {"engine": "docker"}))
    (again,) = read(path).cells
    assert str(again) == str(known)  # NaN is not equal to itself; its repr is


def test_a_large_run_is_read_without_its_text_or_its_tree(tmp_path: Path) -> None:
    """2,000 cells are 2 MiB of text, and thrice that when parsed whole; neither is ever held."""
    found = [
        replace(
            result(Verdict.CLOSE, digest="ab" * 32, max_error={"loss": 0.0}, versions={"x": "1"}),
            cell=f"train-tf1@tf2-{number:05}",
            seconds=number / 7,
        )
        for number in range(2000)
    ]
    path = tmp_path / "r.json"
    report.write_json(path, report.document(found, [], {"engine": "docker"}))
    read(path)  # whatever is made once
    tracemalloc.start()
    again = read(path).cells
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert again == tuple(found)
    assert peak < path.stat().st_size * 0.75
    for field in ("environment", "digest", "max_error", "versions", "curves"):
        assert getattr(again[0], field) is getattr(again[-1], field)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """`paritylab report <(ssh host cat r.json)`: what is no file cannot be begun again."""
    for text, said in (('{"schema_version": 1, "cells": []}', None), ("{", "it is cut off")):
        ends, path = os.pipe(), tmp_path / "r.json"
        os.write(ends[1], text.encode())
        os.close(ends[1])
        path.unlink(missing_ok=True)
        path.symlink_to(f"/dev/fd/{ends[0]}")
        try:
            with pytest.raises(UsageError, match=said) if said else nullcontext():
                assert read(path).cells == ()
        finally:
            os.close(ends[0])


def test_what_is_there_twice_counts_as_it_always_did(tmp_path: Path) -> None:
    """Python's own reader takes the last of two; so does a file that is read in pieces."""
    path = tmp_path / "r.json"
    path.write_text('{"schema_version": 1, "cells": [], "created": "1", "created": "2"}')
    assert read(path).created == "2"
    path.write_text('{"schema_version": 1, "cells": [1], "cells": []}')
    assert read(path).cells == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.sampled_from(["cells", "host", "run", "environments", "created"]), JSON))
def test_any_json_is_a_run_or_a_usage_error(data: dict[str, Any]) -> None:
    """No file makes a traceback."""
    _read_or_refuse(lambda path: path.write_text(json.dumps({"schema_version": 1, **data})))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_run_or_a_usage_error(data: bytes) -> None:
    """Nor do bytes that are no JSON."""
    _read_or_refuse(lambda path: path.write_bytes(data))


@given(st.sampled_from(["verdict", "curves", "divergences", "seconds", "texts", "max_ulp"]), JSON)
def test_any_value_in_a_cell_is_a_run_or_a_usage_error(field: str, value: Any) -> None:
    """Also where only one field of one cell is wrong."""
    cell = {
        **dict.fromkeys(("cell", "lab", "environment", "device", "profile"), "a"),
        "implementation": "tf1",
        "verdict": "close",
        field: value,
    }
    _read_or_refuse(
        lambda path: path.write_text(json.dumps({"schema_version": 1, "cells": [cell]}))
    )


def _read_or_refuse(write: Callable[[Path], object]) -> None:

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.json"
        write(path)
        try:
            assert read(path).cells is not None
        except UsageError:
            return
