"""Results for people and programs: the matrix table, details of what is red, results.json."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from paritylab import atomic, jsonfile
from paritylab.errors import UsageError
from paritylab.hardware import cpu_class, cpu_model
from paritylab.matrixtable import STYLES, MatrixTable
from paritylab.model import Cell, CellResult, Verdict

SCHEMA_VERSION = 1


def summary(results: Sequence[CellResult]) -> RenderableType:
    """The whole terminal report: matrix, reasons for gaps, what is red, one line of totals."""
    return Group(MatrixTable(results), *_below(results))


def show(console: Console, results: Sequence[CellResult]) -> None:
    """Print the same a portion at a time: Rich holds what it prints at once as 1.5 KiB a cell."""
    for part in chain(MatrixTable(results).portions(console.width), _below(results)):
        console.print(part)


def _below(results: Sequence[CellResult]) -> Iterator[RenderableType]:
    for line in _reasons(results):
        yield Text(f"unsupported: {line}", style="dim")
    for result in results:
        if _is_red(result):
            yield details(result)
    for result in results:
        if result.bit_drift and result.verdict.green:
            yield Text(f"{result.cell}: {result.message}", style="yellow")
    green = (r for r in results if r.verdict.green and not r.bit_drift)
    for message, number in Counter(r.message for r in green if r.message).items():
        yield Text(f"{number} {'cell' if number == 1 else 'cells'}: {message}", style="dim")
    yield totals(results)


def _is_red(result: CellResult) -> bool:
    return not result.verdict.green and result.verdict is not Verdict.UNSUPPORTED


def _reasons(results: Iterable[CellResult]) -> list[str]:
    reasons: dict[tuple[str, str], Counter[str]] = {}
    for result in results:
        if result.verdict is Verdict.UNSUPPORTED:
            where = reasons.setdefault((result.environment, result.message), Counter())
            where[result.implementation] += 1
    return [
        f"{', '.join(sorted(implementations))} on {environment}: {message}"
        for (environment, message), implementations in reasons.items()
    ]


def details(result: CellResult) -> RenderableType:
    """Everything a reader needs about one red cell."""
    lines: list[RenderableType] = [
        Text(f"\n{result.cell}: {result.verdict}", style=STYLES[result.verdict]),
        Text(f"  {result.message}"),
    ]
    if result.divergences:
        lines.append(divergence_table(result))
    for name, text in (("stdout", result.stdout), ("stderr", result.stderr)):
        if text.strip():
            tail = "\n".join(text.strip().splitlines()[-8:])
            lines.append(Text(f"  last of {name}:\n{tail}", style="dim"))
    return Group(*lines)


def divergence_table(result: CellResult) -> Table:
    """First divergence of each output: index, values, distance."""
    table = Table(box=None, padding=(0, 2))
    for heading in ("output", "step", "index", "expected", "got", "ULP", "relative", "outside"):
        table.add_column(heading)
    for first in result.divergences:
        table.add_row(
            escape(first.output),
            "" if first.step is None else str(first.step),
            escape(str(list(first.index))),
            escape(first.expected),
            escape(first.got),
            "" if first.ulp is None else f"{first.ulp:,}",
            "" if first.relative is None else f"{first.relative:.2e}",
            f"{first.outside}/{first.total}",
        )
    return table


def totals(results: Sequence[CellResult]) -> Text:
    """One line: how many cells got which verdict."""
    counts = Counter(result.verdict for result in results)
    text = Text(f"{len(results)} {'cell' if len(results) == 1 else 'cells'}: ")
    parts = [(v, counts[v]) for v in Verdict if counts[v]]
    for place, (verdict, count) in enumerate(parts):
        text.append(", " if place else "").append(f"{count} {verdict}", style=STYLES[verdict])
    return text


def all_green(results: Iterable[CellResult]) -> bool:
    """True when something ran and every cell that ran is green."""
    ran = [r for r in results if r.verdict is not Verdict.UNSUPPORTED]
    return bool(ran) and all(r.verdict.green for r in ran)


def document(
    results: Sequence[CellResult],
    cells: Iterable[Cell],
    facts: Mapping[str, Any],
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What ``write_json`` makes results.json of; ``facts`` tell engine, profile, seed, images.

    ``cells`` are the results themselves: ten thousand are not copied to be written. ``origin``
    tells commit and shard; see ``plan.Chosen.origin``.
    """
    environments = {
        f"{cell.environment.name}-{cell.device}": {
            "environment": cell.environment.name,
            "device": cell.device,
            "python": cell.environment.python,
            "lock": cell.environment.stacks[cell.device].lock_digest,
        }
        for cell in cells
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "paritylab": version("paritylab"),
        **(origin or {}),
        "host": host(),
        "run": dict(facts),
        "environments": list(environments.values()),
        "cells": results,
    }


def gap(results: Sequence[CellResult], cells: Sequence[Cell]) -> dict[str, str]:
    """What a run that ended early has to say of itself: ``partial``, else nothing."""
    if len(results) == len(cells):
        return {}
    return {"partial": f"{len(results)} of {len(cells)} cells"}


def host() -> dict[str, Any]:
    """This machine, as far as numbers may depend on it."""
    return {
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpu_class": cpu_class(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def check_writable(path: Path, *, option: str = "--results") -> None:
    """Raise UsageError if a file could not be written there; asked before a long run, not after."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise UsageError(f"{path} is a folder", fix=f"{option} {path}/<name of a file>")
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as fault:
        raise UsageError(
            f"{path} cannot be written", why=fault.strerror, fix="name another file"
        ) from None


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write beside the target and rename: a reader never sees half a file."""
    atomic.write(path, chain(jsonfile.pieces(data), [b"\n"]))
