"""Shards' results.json -> the whole run's, or a refusal that names what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from paritylab import results as results_file
from paritylab.errors import UsageError
from paritylab.model import IMPLEMENTATIONS, CellResult
from paritylab.report import SCHEMA_VERSION
from paritylab.results import Results

TOLD = 10
"""Cells that a message names."""
OWN = ("images", "hosts", "partial")
"""Facts of a run that each shard has its own of; a ``partial`` one lacks cells, which are named."""
Count = Annotated[int, Field(ge=1, le=99_999)]
"""As far as ``shards.parse`` counts."""


class _Shard(BaseModel):
    """See ``shards.Shard.document``."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    number: Count
    of: Count
    split: str
    seconds: float
    cells: list[str]

    @model_validator(mode="after")
    def _is_one_of_them(self) -> _Shard:
        if self.number > self.of:
            raise ValueError(f"there is no shard {self.number}/{self.of}")
        return self


@dataclass(frozen=True, kw_only=True)
class Part:
    """One shard as its file tells it; ``expected`` is the seconds that the split gave it."""

    path: Path
    number: int
    of: int
    split: str
    expected: float
    planned: tuple[str, ...]
    results: Results

    @property
    def seconds(self) -> float:
        """What its cells took, one after the other."""
        return sum(cell.seconds for cell in self.results.cells)


@dataclass(frozen=True, kw_only=True)
class Merged:
    """A whole run: ``document`` is its results.json, ``notes`` what people should know of it."""

    parts: tuple[Part, ...]
    cells: tuple[CellResult, ...]
    document: Mapping[str, Any]
    notes: tuple[str, ...]


def merge(paths: Sequence[Path]) -> Merged:
    """Return the run that the shards are parts of; the order of the files is no matter.

    Raises UsageError, naming files, shards and cells, for another schema, commit, paritylab, lock
    or setting, for parts of another split, and where a shard or a cell is missing or there twice.
    """
    parts = sorted((_part(path) for path in paths), key=lambda part: (part.number, str(part.path)))
    if not parts:
        raise UsageError("nothing to merge", fix="paritylab merge reports/*.json")
    first = parts[0]
    _of_one_commit(parts)
    for part in parts[1:]:
        _of_one_run(first, part)
    _each_once(parts)
    cells = tuple(sorted((c for p in parts for c in p.results.cells), key=_place))
    document, notes = _document(parts, cells)
    return Merged(parts=tuple(parts), cells=cells, document=document, notes=notes)


def _part(path: Path) -> Part:
    found = results_file.read(path)
    if not found.shard:
        raise UsageError(
            f"{path} is no shard",
            why="its run was of no --shard; a whole run needs no merging",
            fix=f"paritylab run --shard 1/2 --results {path}",
        )
    try:
        shard = _Shard.model_validate(found.shard)
    except ValidationError as fault:
        one = fault.errors(include_url=False, include_input=False)[0]
        raise UsageError(
            f"{path} tells no shard that could be one",
            where=f"{path}: {'.'.join(['shard', *(str(part) for part in one['loc'])])}",
            why=one["msg"],
            fix="run the shard again",
        ) from None
    return Part(
        path=path,
        number=shard.number,
        of=shard.of,
        split=shard.split,
        expected=shard.seconds,
        planned=tuple(shard.cells),
        results=found,
    )


def _of_one_commit(parts: Sequence[Part]) -> None:
    for part in parts:
        if not part.results.project.get("commit"):
            raise UsageError(
                f"nobody can tell the commit of {part.path}",
                why="its run found neither git nor GITHUB_SHA or CI_COMMIT_SHA",
                fix="run shards in a git checkout",
            )
    for key, what in (("commit", "commits"), ("changes", "uncommitted changes")):
        told = {part.path: part.results.project.get(key) for part in parts}
        _same(told, f"shards of different {what}", "run every shard on one commit")


def _of_one_run(first: Part, other: Part) -> None:
    pair = (first, other)
    for what, values in (
        ("versions of paritylab", [p.results.paritylab for p in pair]),
        ("splits", [f"{p.number}/{p.of} of split {p.split[:12]}" for p in pair]),
    ):
        if what == "splits" and (first.split, first.of) == (other.split, other.of):
            continue
        told = dict(zip((p.path for p in pair), values, strict=True))
        _same(told, f"shards of different {what}", "run every shard with the same options")
    for name in sorted({*first.results.run, *other.results.run} - set(OWN)):
        ran: dict[Path, Any] = {p.path: p.results.run.get(name) for p in pair}
        _same(ran, f"shards that ran with different `{name}`", "run them with the same options")


def _each_once(parts: Sequence[Part]) -> None:
    numbers = Counter(part.number for part in parts)
    for number, times in numbers.items():
        if times > 1:
            files = ", ".join(str(part.path) for part in parts if part.number == number)
            raise UsageError(
                f"shard {number}/{parts[0].of} is there {times} times", why=files, fix="leave one"
            )
    missing = sorted(set(range(1, parts[0].of + 1)) - set(numbers))
    if missing:
        names = [f"{number}/{parts[0].of}" for number in missing]
        raise UsageError(
            f"{len(names)} of {parts[0].of} shards are missing: {_some(names)}",
            fix=f"paritylab run --shard {names[0]} --results FILE",
        )
    for part in parts:
        ran = Counter(cell.cell for cell in part.results.cells)
        _no_cells(part, "lacks", [cell for cell in part.planned if cell not in ran])
        _no_cells(part, "holds, but should not,", sorted(set(ran) - set(part.planned)))
        _no_cells(part, "holds twice", [cell for cell, times in ran.items() if times > 1])
    owners: dict[str, Path] = {}
    for part in parts:
        shared = [cell for cell in part.planned if cell in owners]
        _no_cells(part, f"shares with {owners[shared[0]] if shared else ''}", shared)
        owners.update(dict.fromkeys(part.planned, part.path))


def _no_cells(part: Part, does: str, cells: Sequence[str]) -> None:
    if cells:
        raise UsageError(
            f"{part.path} {does} {len(cells)} of its cells: {_some(cells)}",
            fix=f"paritylab run --shard {part.number}/{part.of} --results {part.path}",
        )


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return ", ".join(names[:TOLD]) + rest


def _same(told: Mapping[Path, Any], what: str, fix: str) -> None:
    values = {repr(value) for value in told.values()}
    if len(values) > 1:
        lines = "; ".join(f"{path}: {_short(value)}" for path, value in told.items())
        raise UsageError(what, why=lines, fix=fix)


def _short(value: object) -> str:
    return "none" if value is None else f"{value!s:.80}"


def _place(cell: CellResult) -> tuple[str, int, str, str]:
    """The order of ``matrix.cells``."""
    name = cell.implementation
    order = IMPLEMENTATIONS.index(name) if name in IMPLEMENTATIONS else len(IMPLEMENTATIONS)
    return cell.environment, order, cell.lab, cell.cell


def _document(
    parts: Sequence[Part], cells: Sequence[CellResult]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    first = parts[0].results
    images, notes = _images(parts)
    common = {name: fact for name, fact in first.run.items() if name not in OWN}
    document = {
        "schema_version": SCHEMA_VERSION,
        "created": max(part.results.created for part in parts),
        "paritylab": first.paritylab,
        "project": dict(first.project),
        "shards": [
            {
                "number": part.number,
                "created": part.results.created,
                "expected_seconds": part.expected,
                "seconds": round(part.seconds, 3),
                "host": dict(part.results.host),
            }
            for part in parts
        ],
        "host": _hosts(parts),
        "run": {**common, "images": images, **_answers(parts)},
        "environments": _environments(parts),
        "cells": cells,
    }
    return document, notes


def _hosts(parts: Sequence[Part]) -> dict[str, Any]:
    """What all hosts have in common, and every value of what they have not."""
    names = dict.fromkeys(name for part in parts for name in part.results.host)
    found: dict[str, Any] = {}
    for name in names:
        values = [part.results.host.get(name) for part in parts]
        same = all(value == values[0] for value in values)
        found[name] = values[0] if same else " | ".join(sorted({str(value) for value in values}))
    return found


def _answers(parts: Sequence[Part]) -> dict[str, dict[str, int]]:
    """``hosts``: how much each of a cluster's answered in all shards; nothing without a cluster."""
    told = [part.results.run["hosts"] for part in parts if "hosts" in part.results.run]
    answers: Counter[str] = Counter()
    for hosts in told:
        for name, number in (hosts if isinstance(hosts, dict) else {}).items():
            answers[str(name)] += number if isinstance(number, int) else 0
    return {"hosts": dict(sorted(answers.items()))} if told else {}


def _environments(parts: Sequence[Part]) -> list[Mapping[str, Any]]:
    """Every environment once; raises UsageError where shards had different locks."""
    found: dict[tuple[str, str], tuple[Path, Mapping[str, Any]]] = {}
    for part in parts:
        for stack in part.results.environments:
            key = (str(stack.get("environment")), str(stack.get("device")))
            path, known = found.setdefault(key, (part.path, stack))
            for fact in ("lock", "python"):
                told = {path: known.get(fact), part.path: stack.get(fact)}
                what = f"shards with different {fact}s of {'-'.join(key)}"
                _same(told, what, "run every shard on one commit")
    return [stack for _, (_, stack) in sorted(found.items())]


def _images(parts: Iterable[Part]) -> tuple[dict[str, str], tuple[str, ...]]:
    seen: dict[str, set[str]] = {}
    for part in parts:
        images = part.results.run.get("images")
        for name, image in (images if isinstance(images, dict) else {}).items():
            seen.setdefault(str(name), set()).update(str(image).split(", "))  # a cluster's: several
    notes = [
        f"{name} ran in {len(ids)} images of the same lock: their bases differ"
        for name, ids in sorted(seen.items())
        if len(ids) > 1
    ]
    return {name: ", ".join(sorted(ids)) for name, ids in sorted(seen.items())}, tuple(notes)
