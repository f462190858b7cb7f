"""The report that a bundle carries for people: tiers, heat maps, causes, curves; one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from paritylab.audit import arrays
from paritylab.audit.model import Audit, CellAudit, Observation, Outcome, Tier
from paritylab.audit.records import Installation
from paritylab.html.figures import curves, heat_map, histogram
from paritylab.html.page import render
from paritylab.model import Value

FAILED = 1e12
"""Stands in a heat map for a run without outputs, beyond every distance."""


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A lab's part of the page: its cells, their heat map, curves of their baselines."""

    key: str
    slug: str
    cells: tuple[CellAudit, ...]
    map: Markup | None
    figures: tuple[tuple[str, Markup], ...]


def page(
    audit: Audit,
    facts: Mapping[str, Any],
    installations: Mapping[str, Installation],
    *,
    folder: Path,
) -> str:
    """Return the page; ``folder`` holds the baselines' outputs."""
    tiers = Counter(cell.tier for cell in audit.cells)
    observed = _by_place(audit.observations)
    slugs = sorted({cell.lab for cell in audit.cells})
    labs = [
        _lab(number, [cell for cell in audit.cells if cell.lab == slug], observed, facts, folder)
        for number, slug in enumerate(slugs)
    ]
    return render(
        "audit.html.j2",
        audit=audit,
        tiers=[(tier, tiers[tier]) for tier in Tier if tiers[tier]],
        labs=labs,
        drift=_drift(audit.observations),
        moved=[cell for cell in audit.cells if cell.causes],
        installations=installations,
        facts=facts,
        host={name: _said(value) for name, value in facts["host"].items()},
        engine={name: _said(value) for name, value in facts["engine"].items()},
        project={name: _said(value) for name, value in facts["project"].items()},
        stacks=facts["stacks"],
    )


def _drift(observations: Sequence[Observation]) -> Markup | None:
    """How far the runs were from their baselines whose bits moved; None where none did."""
    moved = [max(one.max_ulp.values(), default=0) for one in observations]
    far = [float(np.log2(1 + ulp)) for ulp in moved if ulp]
    if not far:
        return None
    title = f"{len(far)} of {len(moved)} runs with other bits"
    return histogram(far, title=title, unit="largest distance, log2 of ULP", limits=(0.0, 64.0))


Places = Mapping[tuple[str, str], Sequence[Observation]]


def _by_place(observations: Sequence[Observation]) -> dict[tuple[str, str], list[Observation]]:
    found: dict[tuple[str, str], list[Observation]] = {}
    for one in observations:
        if one.phase == "plan":
            found.setdefault((one.cell, "+".join(one.variations) or "repeat"), []).append(one)
    return found


def _lab(
    number: int,
    cells: Sequence[CellAudit],
    observed: Places,
    facts: Mapping[str, Any],
    folder: Path,
) -> Lab:
    slug = cells[0].lab
    ran = [cell for cell in cells if cell.tier is not Tier.UNKNOWN]
    return Lab(
        key=f"lab-{number}",
        slug=slug,
        cells=tuple(cells),
        map=_map(slug, ran, observed) if ran else None,
        figures=tuple(_curves(ran, facts["labs"].get(slug, {}).get("outputs", {}), folder)),
    )


def _map(slug: str, cells: Sequence[CellAudit], observed: Places) -> Markup | None:
    """Cells by variations: how far the bits moved from the baseline, in ULP."""
    ids = {cell.cell for cell in cells}
    columns = sorted({variation for cell, variation in observed if cell in ids}, key=_order)
    if not columns:
        return None
    found = [[_field(observed.get((c.cell, v), ())) for v in columns] for c in cells]
    return heat_map(
        [cell.cell for cell in cells],
        columns,
        [[value for value, _ in row] for row in found],
        title=f"{slug}: distance from the baseline",
        unit="ULP",
        words=[[word for _, word in row] for row in found],
    )


def _order(variation: str) -> tuple[int, str]:
    return (0 if variation == "repeat" else 1 + variation.count("+"), variation)


def _field(observations: Sequence[Observation]) -> tuple[float | None, str]:
    if not observations:
        return None, ""
    worst = max(observations, key=lambda one: list(Outcome).index(one.outcome))
    ulp = max((value for one in observations for value in one.max_ulp.values()), default=0)
    if worst.outcome is Outcome.IDENTICAL:
        return 0.0, "="
    if worst.outcome is Outcome.FAILED:
        return FAILED, "failed"
    word = f"{ulp:,}" if ulp < 1e6 else f"{ulp:.0e}"
    return float(max(ulp, 1)), word if worst.outcome is Outcome.CLOSE else f"{word}!"


def _curves(
    cells: Sequence[CellAudit], outputs: Mapping[str, Any], folder: Path
) -> list[tuple[str, Markup]]:
    stepped = [name for name, spec in outputs.items() if spec["steps"]]
    loaded = {
        cell.cell: (cell.implementation, arrays.load(folder / cell.baseline))
        for cell in cells
        if cell.baseline and stepped
    }
    figures = []
    for name in stepped:
        got = {
            cell: (group, np.asarray(values[name], dtype=np.float64).tolist())
            for cell, (group, values) in loaded.items()
            if _is_curve(values.get(name))
        }
        if got:
            drawn = curves(
                None,
                {cell: numbers for cell, (_, numbers) in got.items()},
                title=name,
                groups={cell: group for cell, (group, _) in got.items()},
            )
            figures.append((name, drawn))
    return figures


def _is_curve(value: Value | None) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "f"


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if isinstance(value, dict):
        return "; ".join(f"{name} {_said(one)}" for name, one in value.items())
    return "unknown" if value is None else str(value)
