"""Pictures of a run: every curve of a lab over one another, and how far each is from the rest."""

from __future__ import annotations

import math
import runpy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from paritylab.model import CellResult

STYLES = {"pytorch": ("#d55e00", "-"), "tf1": ("#0072b2", "--"), "tf2": ("#009e73", ":")}
Curves = dict[str, dict[str, tuple[str, list[float]]]]  # "lab output" -> cell -> (impl., values)


def plot(cells: Sequence[CellResult], folder: Path, labs: Path | None = None) -> list[Path]:
    """Write a PNG per lab and curve into ``folder``; return the files, sorted.

    A lab of the folder ``labs`` that has a ``picture.py`` draws one more; see ``pictures``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        name.replace(" ", "-"): _figure(name, curves) for name, curves in _curves(cells).items()
    }
    figures |= pictures(cells, labs) if labs else {}
    paths = {folder / f"{name}.png": figure for name, figure in figures.items()}
    for path, figure in paths.items():
        figure.savefig(path)
    return sorted(paths)


def pictures(cells: Sequence[CellResult], labs: Path) -> dict[str, Figure]:
    """Return what the ``picture.py`` of each lab draws, by lab.

    Its ``draw(figure, cells)`` gets the lab's own cells, as results.json has them: plain data.
    """
    figures = {}
    for script in sorted(labs.glob("*/picture.py")):
        own = [asdict(cell) for cell in cells if cell.lab == script.parent.name]
        if own:
            figures[script.parent.name] = Figure(figsize=(9, 6), layout="constrained")
            runpy.run_path(str(script))["draw"](figures[script.parent.name], own)
    return figures


def _curves(cells: Iterable[CellResult]) -> Curves:
    found: Curves = {}
    for cell in cells:
        for output, values in cell.curves.items():
            group = found.setdefault(f"{cell.lab} {output}", {})
            group[cell.cell] = (cell.implementation, values)
    return found


def _figure(name: str, cells: Mapping[str, tuple[str, list[float]]]) -> Figure:
    """Above the curves themselves, below their distance from the median curve."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    middle = [_middle(at) for at in zip(*(v for _, v in cells.values()), strict=True)]
    for cell, (implementation, values) in sorted(cells.items()):
        color, line = STYLES.get(implementation, ("black", "-"))
        above.plot(values, color=color, linestyle=line, linewidth=1.2, label=cell)
        distance = [
            abs(a - b) / abs(b) if b else abs(a) for a, b in zip(values, middle, strict=True)
        ]
        below.plot(distance, color=color, linestyle=line, linewidth=1.0)
    above.set_title(f"{name}: {len(cells)} cells")
    above.legend(fontsize=7, ncols=2)
    below.set_yscale("symlog", linthresh=1e-8)
    below.set_ylabel("relative distance\nfrom the median cell")
    below.set_xlabel("step")
    below.axhline(2**-23, color="grey", linewidth=0.6)
    below.annotate("1 ULP of float32 at 1", (0, 2**-23), fontsize=7, color="grey")
    return figure


def _middle(at: Iterable[float]) -> float:
    """The median of the cells that have a number there."""
    known = sorted(value for value in at if not math.isnan(value))
    return known[len(known) // 2] if known else math.nan
