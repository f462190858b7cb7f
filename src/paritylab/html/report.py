"""The page of a run: matrix, what is red, every cell's evidence; from results.json alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from paritylab.html.figures import curves
from paritylab.html.page import stream
from paritylab.model import CellResult, Verdict
from paritylab.results import Results

TAIL = 4000  # characters of captured output per stream
Column = tuple[str, str, str]
"""Environment, device, implementation."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """How far one output of a cell was from what was expected."""

    name: str
    error: float | None
    ulp: int | None
    used: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A cell with what the page says of it; ``key`` names its part of the page.

    ``share`` is its time against the slowest cell's.
    """

    key: str
    result: CellResult
    share: float

    @property
    def outputs(self) -> tuple[Output, ...]:
        """How far each output was from what was expected."""
        return tuple(_outputs(self.result))

    @property
    def figures(self) -> tuple[Markup, ...]:
        """The curves of a red cell; the lab's picture shows those of all its cells."""
        return tuple(_own_figures(self.result)) if _red(self.result) else ()

    @property
    def stdout(self) -> str:
        """The end of what it printed."""
        return self.result.stdout[-TAIL:]

    @property
    def stderr(self) -> str:
        """The end of what it said on stderr."""
        return self.result.stderr[-TAIL:]


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A lab's cells in the order of the matrix's columns (None: not run)."""

    key: str
    slug: str
    places: tuple[Place | None, ...]
    cells: tuple[CellResult, ...]

    @property
    def figures(self) -> tuple[tuple[str, Markup], ...]:
        """The lab's curves by output, drawn when they are asked for."""
        return tuple(lab_figures(self.cells))


class _Labs:
    """Every lab of a run, made anew each time that they are gone through."""

    def __init__(self, cells: Sequence[CellResult], columns: Sequence[Column]) -> None:
        self._cells, self._columns = cells, columns
        self._slowest = max((cell.seconds for cell in cells), default=0.0)
        self._numbers: dict[str, list[int]] = {}
        for number, cell in enumerate(cells):
            self._numbers.setdefault(cell.lab, []).append(number)

    def __iter__(self) -> Iterator[Lab]:
        for number, slug in enumerate(sorted(self._numbers)):
            places = [self.place(one) for one in self._numbers[slug]]
            by_column = {_column(place.result): place for place in places}
            yield Lab(
                key=f"lab-{number}",
                slug=slug,
                places=tuple(by_column.get(column) for column in self._columns),
                cells=tuple(place.result for place in by_column.values()),
            )

    def place(self, number: int) -> Place:
        """The cell of that number in the order of names."""
        cell = self._cells[number]
        share = cell.seconds / self._slowest if self._slowest else 0.0
        return Place(key=f"cell-{number}", result=cell, share=share)

    def places(self, chosen: Callable[[CellResult], bool]) -> list[Place]:
        """Those of the cells that ``chosen`` picks."""
        return [self.place(n) for n, cell in enumerate(self._cells) if chosen(cell)]


def keys(results: Results) -> dict[str, str]:
    """Return where the page shows each cell: cell -> the part after ``#``."""
    return {c.cell: f"cell-{n}" for n, c in enumerate(sorted(results.cells, key=_by_name))}


def _by_name(cell: CellResult) -> str:
    return cell.cell


def page(results: Results) -> str:
    """Return the page of a run as one self-contained file's text."""
    return "".join(pieces(results))


def pieces(results: Results) -> Iterator[str]:
    """Yield the same text in pieces, a cell's at a time: the page of a large run is large."""
    cells = sorted(results.cells, key=_by_name)
    columns = sorted({_column(cell) for cell in cells})
    labs = _Labs(cells, columns)
    counts = Counter(cell.verdict for cell in cells)
    return stream(
        "report.html.j2",
        results=results,
        columns=columns,
        labs=labs,
        counts=[(verdict, counts[verdict]) for verdict in Verdict if counts[verdict]],
        ran=len(cells) - counts[Verdict.UNSUPPORTED],
        green=sum(counts[verdict] for verdict in Verdict if verdict.green),
        red=labs.places(_red),
        drifted=labs.places(lambda cell: cell.bit_drift and cell.verdict.green),
        gaps=_gaps(cells),
        stacks=_stacks(results),
        run={name: _said(value) for name, value in results.run.items() if name != "images"},
        host={name: _said(value) for name, value in results.host.items()},
    )


def _column(cell: CellResult) -> Column:
    return cell.environment, cell.device, cell.implementation


def _red(cell: CellResult) -> bool:
    return _ran(cell) and not cell.verdict.green


def _ran(cell: CellResult) -> bool:
    return cell.verdict is not Verdict.UNSUPPORTED


def _said(value: object) -> str:
    if value is None:
        return "as the lab says"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


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
