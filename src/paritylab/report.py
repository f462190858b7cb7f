"""Results for people and programs: the matrix table, details of what is red, results.json."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from paritylab import atomic, jsonfile
from paritylab.errors import UsageError
from paritylab.hardware import cpu_class, cpu_model
from paritylab.model import Cell, CellResult, Verdict

SCHEMA_VERSION = 1
STYLES = {
    Verdict.IDENTICAL: "bold green",
    Verdict.CLOSE: "green",
    Verdict.DIVERGED: "bold red",
    Verdict.FAILED: "bold red",
    Verdict.TIMEOUT: "bold magenta",
    Verdict.KILLED: "bold magenta",
    Verdict.UNSUPPORTED: "dim",
}
MARKS = {
    Verdict.IDENTICAL: "=",
    Verdict.CLOSE: "~",
    Verdict.DIVERGED: "D",
    Verdict.FAILED: "F",
    Verdict.TIMEOUT: "T",
    Verdict.KILLED: "K",
    Verdict.UNSUPPORTED: "-",
}


_HEADING, _EDGE = 3, 3  # letters of a heading; a line with a space on each side


def summary(results: Sequence[CellResult]) -> RenderableType:
    """The whole terminal report: matrix, reasons for gaps, what is red, one line of totals."""
    parts: list[RenderableType] = [MatrixTable(results)]
    parts += [Text(f"unsupported: {line}", style="dim") for line in _reasons(results)]
    parts += [details(result) for result in results if _is_red(result)]
    parts += [
        Text(f"{result.cell}: {result.message}", style="yellow")
        for result in results
        if result.bit_drift and result.verdict.green
    ]
    return Group(*parts, totals(results))


def _is_red(result: CellResult) -> bool:
    return not result.verdict.green and result.verdict is not Verdict.UNSUPPORTED


class MatrixTable:
    """labs x (environment, implementation), each with verdict and seconds.

    Where the terminal is too narrow for words a verdict is one mark, explained below; where it is
    too narrow for these, every environment has a table of its own.
    """

    def __init__(self, results: Sequence[CellResult]) -> None:
        self.columns = sorted({(r.environment, r.device, r.implementation) for r in results})
        self.rows = sorted({r.lab for r in results})
        self.by_place = {(r.lab, r.environment, r.device, r.implementation): r for r in results}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose words or marks, one table or several, by the width at hand."""
        words = self._table(_entry, self.columns)
        wide = options.update(width=10_000)
        if words.__rich_measure__(console, wide).maximum <= options.max_width:
            yield words
            return
        groups = [self.columns]
        if self._least(len(self.columns)) > options.max_width:
            groups = [list(found) for _, found in groupby(self.columns, lambda one: one[:2])]
        yield from (self._table(_mark, columns) for columns in groups)
        shown = {r.verdict for r in self.by_place.values()}
        yield Text(", ".join(f"{MARKS[v]} {v}" for v in Verdict if v in shown), style="dim")

    def _least(self, columns: int) -> int:
        """The width at which every mark and the beginnings of the headings can be read."""
        return max(map(len, self.rows), default=0) + _HEADING * columns + _EDGE * (columns + 1) + 1

    def _table(
        self, entry: Callable[[CellResult | None], Text], columns: Sequence[tuple[str, str, str]]
    ) -> Table:
        table = Table(title="Parity matrix", title_justify="left")
        table.add_column("lab", style="bold", no_wrap=True)
        for environment, device, implementation in columns:
            table.add_column(f"{environment}\n{device}\n{implementation}")
        for lab in self.rows:
            cells = (self.by_place.get((lab, *column)) for column in columns)
            table.add_row(lab, *(entry(cell) for cell in cells))
        return table


def _entry(result: CellResult | None) -> Text:
    if result is None:
        return Text("")
    if result.verdict is Verdict.UNSUPPORTED:
        return Text("unsupported", style=STYLES[result.verdict], no_wrap=True)
    drift = "!" if result.bit_drift else ""
    text = Text(f"{result.verdict}{drift}", style=STYLES[result.verdict], no_wrap=True)
    return text.append(f" {result.seconds:.2f}", style="dim")


def _mark(result: CellResult | None) -> Text:
    if result is None:
        return Text("")
    drift = "!" if result.bit_drift else ""
    return Text(f"{MARKS[result.verdict]}{drift}", style=STYLES[result.verdict])


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
    text = Text(f"{len(results)} cells: ")
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
        probe = path.with_suffix(path.suffix + ".partial")
        probe.touch()
        probe.unlink()
    except OSError as fault:
        raise UsageError(
            f"{path} cannot be written", why=fault.strerror, fix="name another file"
        ) from None


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write beside the target and rename: a reader never sees half a file."""
    atomic.write(path, chain(jsonfile.pieces(data), [b"\n"]))
