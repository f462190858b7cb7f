"""Planted faults: each must turn its cell red, or the lab's check is too weak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from paritylab.engines.base import Engine
from paritylab.errors import CatalogError, EngineError
from paritylab.model import Cell, CellResult, Lab, LabImplementation, Verdict
from paritylab.runner import Settings, run_all
from paritylab.schema import parse_toml
from paritylab.strict import Strict

Text = Annotated[str, Field(min_length=1)]


class MutantModel(Strict):
    """One ``[[mutant]]`` of a mutants.toml: replace ``old``, which occurs once, by ``new``."""

    file: Text
    old: Text
    new: str
    why: Text


class MutantsModel(Strict):
    """A whole mutants.toml."""

    mutant: tuple[MutantModel, ...]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One planted fault of one implementation."""

    lab: Lab
    implementation: str
    source: str
    why: str

    @property
    def id(self) -> str:
        """For tables: lab, implementation and fault."""
        return f"{self.lab.slug}/{self.implementation}: {self.why}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Whether a mutant was found: red in every environment (``caught``), and what was said."""

    mutant: Mutant
    results: tuple[CellResult, ...]

    @property
    def caught(self) -> bool:
        """True if no cell that ran stayed green."""
        ran = [r for r in self.results if r.verdict is not Verdict.UNSUPPORTED]
        return bool(ran) and not any(r.verdict.green for r in ran)


def read_mutants(lab: Lab) -> list[Mutant]:
    """Return the lab's planted faults, [] without a mutants.toml.

    Raises CatalogError when a fault no longer fits its file.
    """
    path = lab.folder / "mutants.toml"
    shown = f"labs/{lab.slug}/mutants.toml"
    if not path.is_file():
        return []
    model = parse_toml(path, MutantsModel, shown=shown)
    return [_mutant(lab, entry, f"{shown}: mutant.{i}") for i, entry in enumerate(model.mutant)]


def _mutant(lab: Lab, entry: MutantModel, where: str) -> Mutant:
    by_file = {i.source.name: i for i in lab.implementations.values() if i.source}
    if entry.file not in by_file:
        raise CatalogError(f"no implementation {entry.file}", where=f"{where}.file")
    implementation = by_file[entry.file]
    source = implementation.source.read_text(encoding="utf-8") if implementation.source else ""
    count = source.count(entry.old)
    if count != 1:
        raise CatalogError(
            f"`old` occurs {count} times in {entry.file}",
            where=f"{where}.old",
            why="a fault is planted in exactly one place",
            fix="quote more, or what the file says today",
        )
    return Mutant(
        lab=lab,
        implementation=implementation.name,
        source=source.replace(entry.old, entry.new),
        why=entry.why,
    )


def runs(mutants: Iterable[Mutant], cells: Iterable[Cell]) -> int:
    """Return how many cells ``hunt`` runs: each once without a fault, once with each of its own."""
    planted = Counter((m.lab.slug, m.implementation) for m in mutants)
    each = (planted[cell.lab.slug, cell.implementation] for cell in cells)
    return sum(1 + faults for faults in each if faults)


def hunt(
    mutants: Sequence[Mutant],
    cells: Sequence[Cell],
    engine: Engine,
    *,
    folder: Path,
    done: Callable[[CellResult], None],
) -> list[Outcome]:
    """Run every mutant in every environment its implementation runs in.

    ``folder`` is a scratch directory for the mutated sources. Raises EngineError when a cell is
    red without a fault: such a cell would catch everything.
    """
    touched = {(m.lab.slug, m.implementation) for m in mutants}
    sound = [c for c in cells if (c.lab.slug, c.implementation) in touched]
    for result in run_all(sound, engine, Settings(), jobs=2, done=done):
        if not result.verdict.green and result.verdict is not Verdict.UNSUPPORTED:
            raise EngineError(
                f"{result.cell} is {result.verdict} without a fault: {result.message}",
                why="nothing can be caught by a cell that is red anyway",
                fix=f"paritylab run --lab {result.lab}",
            )
    planted = [_plant(m, cells, folder / str(i)) for i, m in enumerate(mutants)]
    flat = [cell for group in planted for cell in group]
    results = iter(run_all(flat, engine, Settings(), jobs=2, done=done))
    return [
        Outcome(mutant=mutant, results=tuple(next(results) for _ in group))
        for mutant, group in zip(mutants, planted, strict=True)
    ]


def _plant(mutant: Mutant, cells: Iterable[Cell], folder: Path) -> list[Cell]:
    """The mutant's cells: those of its lab and implementation, with the mutated source."""
    lab = mutant.lab
    original = lab.implementations[mutant.implementation]
    if original.source is None:  # pragma: no cover - a mutant is made from a source
        raise CatalogError("no source to mutate", where=f"labs/{lab.slug}")
    folder.mkdir(parents=True)
    source = folder / original.source.name
    source.write_text(mutant.source, encoding="utf-8")
    mutated: LabImplementation = replace(original, source=source)
    lab = replace(lab, implementations={**lab.implementations, original.name: mutated})
    return [
        replace(cell, lab=lab)
        for cell in cells
        if cell.lab.slug == lab.slug and cell.implementation == original.name
    ]
