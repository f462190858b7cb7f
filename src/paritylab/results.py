"""results.json read back: the same frozen types that wrote it, or an error in words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from paritylab.errors import LabError, UsageError
from paritylab.jsonfile import read_object
from paritylab.model import CellResult
from paritylab.report import SCHEMA_VERSION

_cell = TypeAdapter(CellResult)
_facts = TypeAdapter(dict[str, Any])
_environments = TypeAdapter(list[dict[str, Any]])


@dataclass(frozen=True, kw_only=True)
class Results:
    """One run: ``created`` is an ISO 8601 time, the rest as ``report.document`` describes it.

    ``project`` and ``shard`` are empty where the file does not tell them.
    """

    created: str
    paritylab: str
    host: Mapping[str, Any]
    run: Mapping[str, Any]
    environments: tuple[Mapping[str, Any], ...]
    cells: tuple[CellResult, ...]
    project: Mapping[str, Any] = field(default_factory=dict)
    shard: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path) -> Results:
    """Return the run that ``path`` holds.

    Raises UsageError when the file is missing, is cut off, is no JSON, was written by another
    version or holds a cell that is none; it names the place.
    """
    cells = _Cells(path)
    # What is wrong, and where, is told of the whole: a cell may be of another version's file. What
    # is no file, a pipe, can be read only once.
    if path.is_file():
        with (
            suppress(OSError, ValueError, RecursionError, LabError),
            path.open("rb") as file,
        ):
            return _results(path, read_object(file, {"cells": cells.read}), lambda _, cell: cell)
    return _results(path, _document(path), cells.read)


def _results(
    path: Path, data: Mapping[str, Any], cell: Callable[[int, Any], CellResult]
) -> Results:
    """Return the run in ``data``; ``cell`` makes a result of a number and an element of cells."""
    found = data.get("schema_version")
    if found != SCHEMA_VERSION:
        newer = isinstance(found, int) and not isinstance(found, bool) and found > SCHEMA_VERSION
        raise _no_results(
            path,
            f"schema_version is {found!r:.40}, this paritylab reads {SCHEMA_VERSION}",
            fix="pip install --upgrade paritylab" if newer else f"paritylab run --results {path}",
        )
    try:
        if not isinstance(data.get("cells"), list):
            raise _no_results(path, "it has no list `cells`")
        return Results(
            created=str(data.get("created", "")),
            paritylab=str(data.get("paritylab", "")),
            host=_facts.validate_python(data.get("host", {})),
            run=_facts.validate_python(data.get("run", {})),
            environments=tuple(_environments.validate_python(data.get("environments", []))),
            cells=tuple(cell(*numbered) for numbered in enumerate(data["cells"])),
            project=_facts.validate_python(data.get("project", {})),
            shard=_facts.validate_python(data.get("shard", {})),
        )
    except ValidationError as fault:
        raise _no_results(path, _first(fault)) from None


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _no_results(path, "it is no UTF-8 text") from None
    except OSError as fault:
        raise UsageError(
            f"{path} cannot be read",
            why=fault.strerror,
            fix="paritylab run --results results.json",
        ) from None
    if not text.strip():
        raise _no_results(path, "it is empty")
    try:
        data = json.loads(text)
    except RecursionError:
        raise _no_results(path, "its JSON is nested too deeply") from None
    except ValueError as fault:
        # A literal or an escape that is cut is told at its beginning, a string at its quote.
        near_end = getattr(fault, "pos", 0) >= len(text.rstrip()) - len('"\\uffff')
        cut = near_end or str(fault).startswith("Unterminated string")
        why = "it is cut off" if cut else "it is no JSON"
        raise _no_results(path, f"{why}: {fault}") from None
    if not isinstance(data, dict):
        raise _no_results(path, f"its JSON is a {type(data).__name__}, not an object")
    return data


class _Cells:
    """Makes results of the elements of ``cells``, which have most of their words in common."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._words: dict[str, str] = {}

    def read(self, place: int, raw: object) -> CellResult:
        """Return the result; raises UsageError that names ``place`` and the field."""
        if not isinstance(raw, dict):
            raise _no_results(self._path, f"cells[{place}] is no object")
        known = {name: self._shared(name, value) for name, value in raw.items()}
        # Strict JSON has no Infinity and no NaN: both were written as null.
        for name in ("tolerance_used", "max_error"):
            known[name] = _numbers(known.get(name, {}), math.inf)
        for name in ("curves", "expected_curves"):
            curves = known.get(name, {})
            if isinstance(curves, dict):
                known[name] = {key: _filled(values) for key, values in curves.items()}
        try:
            return _cell.validate_python(known)
        except ValidationError as fault:
            raise _no_results(self._path, f"cells[{place}].{_first(fault)}") from None

    def _shared(self, name: str, value: object) -> object:
        """Return the same text for the same words; a cell's own name is nobody else's."""
        if isinstance(value, str) and name != "cell":
            return self._words.setdefault(value, value)
        return value


def _numbers(values: object, instead: float) -> object:
    if not isinstance(values, dict):
        return values
    return {name: instead if value is None else value for name, value in values.items()}


def _filled(values: object) -> object:
    if not isinstance(values, list):
        return values
    return [math.nan if value is None else value for value in values]


def _first(fault: ValidationError) -> str:
    one = fault.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"


def _no_results(path: Path, why: str, fix: str | None = None) -> UsageError:
    return UsageError(
        f"{path} is no results.json of this version",
        why=why,
        fix=fix or f"paritylab run --results {path}",
    )
