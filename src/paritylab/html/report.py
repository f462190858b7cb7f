"""The page of a run: matrix, what is red, every cell's evidence; from results.json alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from paritylab.html.figures import curves
from paritylab.html.page import render
from paritylab.model import CellResult, Verdict
from paritylab.results import Results

TAIL = 4000  # characters of captured output per stream


@dataclass(frozen=True, kw_only=True)
class Output:
    """How far one output of a cell was from what was expected."""

    name: str
    error: float | None
    ulp: int | None
    used: float | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """A cell with what the page says of it; ``key`` names its part of the page."""

    key: str
    result: CellResult
    outputs: tuple[Output, ...]
    figures: tuple[Markup, ...]
    share: float
    stdout: str
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A lab's cells in the order of the matrix's columns (None: not run), and its curves."""

    key: str
    slug: str
    places: tuple[Place | None, ...]
    figures: tuple[tuple[str, Markup], ...]


def keys(results: Results) -> dict[str, str]:
    """Return where the page shows each cell: cell -> the part after ``#``."""
    return {c.cell: f"cell-{n}" for n, c in enumerate(sorted(results.cells, key=_by_name))}


def _by_name(cell: CellResult) -> str:
    return cell.cell


def page(results: Results) -> str:
    """Return the page of a run as one self-contained file's text."""
    cells = sorted(results.cells, key=_by_name)
    columns = sorted({(c.environment, c.device, c.implementation) for c in cells})
    slowest = max((cell.seconds for cell in cells), default=0.0)
    places = [_place(number, cell, slowest) for number, cell in enumerate(cells)]
    counts = Counter(cell.verdict for cell in cells)
    ran = len(cells) - counts[Verdict.UNSUPPORTED]
    green = sum(counts[verdict] for verdict in Verdict if verdict.green)
    return render(
        "report.html.j2",
        results=results,
        columns=columns,
        labs=_labs(places, columns),
        counts=[(verdict, counts[verdict]) for verdict in Verdict if counts[verdict]],
        ran=ran,
        green=green,
        red=[p for p in places if not p.result.verdict.green and _ran(p.result)],
        drifted=[p for p in places if p.result.bit_drift and p.result.verdict.green],
        gaps=_gaps(cells),
        stacks=_stacks(results),
        run={name: _said(value) for name, value in results.run.items() if name != "images"},
        host={name: _said(value) for name, value in results.host.items()},
    )


def _ran(cell: CellResult) -> bool:
    return cell.verdict is not Verdict.UNSUPPORTED


def _said(value: object) -> str:
    if value is None:
        return "as the lab says"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _place(number: int, cell: CellResult, slowest: float) -> Place:
    red = _ran(cell) and not cell.verdict.green
    return Place(
        key=f"cell-{number}",
        result=cell,
        outputs=tuple(_outputs(cell)),
        # The lab's picture shows the curves of all its cells; one that is red gets its own.
        figures=tuple(_own_figures(cell)) if red else (),
        share=cell.seconds / slowest if slowest else 0.0,
        stdout=cell.stdout[-TAIL:],
        stderr=cell.stderr[-TAIL:],
    )


def _outputs(cell: CellResult) -> Iterable[Output]:
    for name in cell.max_error:
        error = cell.max_error[name]
        yield Output(
            name=name,
            error=error if math.isfinite(error) else None,
            ulp=cell.max_ulp.get(name),
            used=cell.tolerance_used.get(name),
        )


def _own_figures(cell: CellResult) -> Iterable[Markup]:
    for name, values in cell.curves.items():
        expected = cell.expected_curves.get(name)
        yield curves(expected, {cell.implementation: values}, title=f"{cell.cell}: {name}")


def _labs(places: Sequence[Place], columns: Sequence[tuple[str, str, str]]) -> list[Lab]:
    by_column: dict[str, dict[tuple[str, str, str], Place]] = {}
    for place in places:
        cell = place.result
        column = (cell.environment, cell.device, cell.implementation)
        by_column.setdefault(cell.lab, {})[column] = place
    return [
        Lab(
            key=f"lab-{number}",
            slug=slug,
            places=tuple(found.get(column) for column in columns),
            figures=tuple(lab_figures([p.result for p in found.values()])),
        )
        for number, (slug, found) in enumerate(sorted(by_column.items()))
    ]


def lab_figures(cells: Sequence[CellResult]) -> Iterable[tuple[str, Markup]]:
    """Yield every curve of a lab's cells: the output's name, and all cells over one another."""
    names = dict.fromkeys(name for cell in cells for name in cell.curves)
    for name in names:
        having = [cell for cell in cells if name in cell.curves]
        wanted = {tuple(c.expected_curves.get(name, ())) for c in having}
        # An output may be expected to differ between implementations: then the median serves.
        expected = wanted.pop() if len(wanted) == 1 else ()
        yield (
            name,
            curves(
                expected or None,
                {cell.cell: cell.curves[name] for cell in having},
                title=f"{having[0].lab}: {name}",
                groups={cell.cell: cell.implementation for cell in having},
            ),
        )


def _gaps(cells: Iterable[CellResult]) -> list[tuple[str, str, int]]:
    """Reason, where, how many cells: why something did not run."""
    found: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        if not _ran(cell):
            found[cell.message, f"{cell.implementation} on {cell.environment}"] += 1
    return sorted((where, why, number) for (why, where), number in found.items())


def _stacks(results: Results) -> list[Mapping[str, Any]]:
    """Each environment with its lock, its image and the versions that its workers told."""
    images = results.run.get("images")
    images = images if isinstance(images, dict) else {}
    found: list[Mapping[str, Any]] = []
    for stack in results.environments:
        name, device = str(stack.get("environment")), str(stack.get("device"))
        versions: dict[str, str] = {}
        for cell in results.cells:
            if (cell.environment, cell.device) == (name, device):
                versions.update(cell.versions)
        found.append(
            {
                "name": name,
                "device": device,
                "python": stack.get("python"),
                "lock": stack.get("lock"),
                "image": images.get(f"{name}-{device}"),
                "versions": sorted(versions.items()),
            }
        )
    return found
