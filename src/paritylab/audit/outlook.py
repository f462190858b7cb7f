"""A comparison for people and programs: terminal tables, JSON, one HTML page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from paritylab.audit import documents
from paritylab.audit.changes import Change
from paritylab.audit.diff import CellDiff, Diff, State, Suspect
from paritylab.audit.rerun import Rerun
from paritylab.audit.sentences import counted
from paritylab.audit.verify import Bundle
from paritylab.html.page import render, tidy

SCHEMA = 1
SHOWN = 30
"""Rows of a terminal table."""
STYLES = {State.EQUAL: "green", State.MOVED: "bold yellow", State.FAILED: "bold red"}


def verified(bundle: Bundle) -> RenderableType:
    """What a check of a bundle found, in lines."""
    audit, project = bundle.audit, bundle.facts["project"]
    lines = [
        f"verified: {len(bundle.members)} files, each with the SHA-256 of the statement",
        f"bundle    sha256:{bundle.digest}",
        f"signature {_signature(bundle)}",
        f"project   {project.get('commit') or 'no commit'}{_dirt(project)}",
        f"audit     {audit.created}, paritylab {audit.paritylab}, {len(audit.cells)} cells, "
        f"{len(audit.observations)} runs of {audit.plan.runs} planned",
    ]
    for name, one in bundle.installations.items():
        files = sum(package.files for package in one.distributions)
        verdict = "as RECORD, wheels and lock say" if one.sound else "NOT SOUND: see installed.json"
        lines.append(f"{name}: {len(one.distributions)} packages, {files:,} files, {verdict}")
    parts: list[RenderableType] = [Text(tidy(line)) for line in lines]
    if audit.partial:
        parts.append(Text(tidy(f"PARTIAL: {audit.partial}"), style="bold yellow"))
    if not audit.reached:
        parts.append(Text("some cells do not keep what they declare", style="yellow"))
    return Group(*parts)


def _signature(bundle: Bundle) -> str:
    if bundle.signed_by is None:
        return "none: hashes prove that nothing was damaged, not who made it"
    if not bundle.trusted:
        return f"by key {bundle.signed_by}, NOT CHECKED: give the public key with --key"
    return f"good, by key {bundle.signed_by}"


def _dirt(project: Any) -> str:
    if project.get("dirty") is None:
        return f" ({project.get('why', '')})"
    return " with changes that are in no commit" if project["dirty"] else ", nothing changed"


def compared(diff: Diff, *, everything: bool = False) -> RenderableType:
    """A comparison as terminal tables: what moved, what differs, one sentence."""
    shown = [one for one in diff.cells if everything or one.state is not State.EQUAL]
    cells = Table(title="Cells", title_justify="left")
    for heading in ("cell", "", "first difference", "largest ULP", "goes with"):
        cells.add_column(heading)
    for one in shown[:SHOWN]:
        cells.add_row(
            _plain(one.cell),
            Text(one.state, style=STYLES.get(one.state, "dim")),
            _plain(_first(one)),
            _plain(_ulp(one)),
            _plain(_with(one)),
        )
    recorded = Table(title="Recorded differences", title_justify="left")
    for heading in ("what", "before", "after", "can reach"):
        recorded.add_column(heading)
    for change in diff.changes[:SHOWN]:
        recorded.add_row(*(_plain(text) for text in _row(change)))
    parts: list[RenderableType] = [table for table in (cells, recorded) if table.row_count]
    hidden = len(shown[SHOWN:]) + len(diff.changes[SHOWN:])
    parts += [Text(f"{hidden} more rows: --json or --html has them all", "dim")] if hidden else []
    return Group(*parts, Text(tidy(diff.verdict), style="bold"))


def again(result: Rerun) -> RenderableType:
    """A run again as terminal tables; every cell is told."""
    told = Text(
        "every recorded cell has the recorded bits here"
        if result.reproduced
        else "not every cell has the recorded bits here",
        style="bold green" if result.reproduced else "bold yellow",
    )
    return Group(compared(result.diff, everything=True), told)


def to_json(diff: Diff) -> bytes:
    """A comparison as JSON; the same input gives the same bytes."""
    plain = asdict(diff)
    plain["changes"] = [
        {**asdict(change), "cells": sorted(change.cells)} for change in diff.changes
    ]
    return documents.dump({"schema_version": SCHEMA, "verdict": diff.verdict, **plain})


def to_html(diff: Diff) -> str:
    """A comparison as one self-contained page."""
    return render(
        "diff.html.j2",
        diff=diff,
        cells=[(one, _first(one), _ulp(one), _with(one)) for one in diff.cells],
        changes=[_row(change) for change in diff.changes],
        states=[(s, sum(c.state is s for c in diff.cells)) for s in State],
    )


def _plain(text: str) -> str:
    """Words of a stranger's bundle: no markup, and nothing that a terminal would obey."""
    return escape(tidy(text))


def _row(change: Change) -> tuple[str, str, str, str]:
    return (
        f"{change.kind} {change.name}",
        change.before,
        change.after,
        counted(len(change.cells), "cell"),
    )


def _first(one: CellDiff) -> str:
    if one.first is None:
        return one.note or ("only outputs without bits of their own" if one.by_nature else "")
    first = one.first
    at = f"[{','.join(map(str, first.index))}]" if first.index else ""
    step = f" at step {first.step}" if first.step is not None else ""
    ulp = f" ({first.ulp:,} ULP)" if first.ulp is not None else ""
    return f"{first.output}{at}{step}: {first.baseline} -> {first.got}{ulp}"


def _ulp(one: CellDiff) -> str:
    if not one.max_ulp:
        return ""
    name = max(one.max_ulp, key=lambda output: one.max_ulp[output])
    return f"{one.max_ulp[name]:,} ({name})"


def _with(one: CellDiff) -> str:
    if one.state is not State.MOVED:
        return ""
    if not one.goes_with:
        return "no recorded difference"
    return "; ".join(map(_suspect, one.goes_with))


def _suspect(one: Suspect) -> str:
    stayed = f" (but {one.stayed} stayed)" if one.stayed else ""
    known = f" (seen to move it: {', '.join(one.known)})" if one.known else ""
    return f"{one.sentence}{known}{stayed}"
