"""A figure of the benchmark: every sample of it, its middle and its spread, and its target."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Tell = Callable[[str], None]
"""Says one line to the person who waits."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a figure should be: at least, at most, or (``below``) less than."""

    least: float = -math.inf
    most: float = math.inf
    below: float = math.inf

    def met(self, value: float) -> bool:
        """Whether a figure of this value is good enough."""
        return self.least <= value <= self.most and value < self.below

    def __str__(self) -> str:
        named = ((">=", self.least), ("<=", self.most), ("<", self.below))
        return " and ".join(f"{sign} {value:g}" for sign, value in named if math.isfinite(value))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    ``letter`` is the part of the benchmark, ``samples`` one value per repeat in ``unit`` (``x``: a
    ratio of two things measured in that repeat), ``parts`` what each was made from, by words with
    their unit, and ``raw`` what those were made from (for the document alone). ``note`` says what
    it covers where the name does not.
    """

    letter: str
    name: str
    unit: str
    samples: tuple[float, ...]
    target: Target | None = None
    parts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    note: str = ""
    raw: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The middle of the repeats."""
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; None where there is none."""
        return self.target.met(self.median) if self.target else None

    def document(self) -> dict[str, Any]:
        """The figure as plain data, with every sample."""
        return {
            "letter": self.letter,
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.samples),
            "max": max(self.samples),
            "target": str(self.target) if self.target else None,
            "met": self.met,
            "samples": list(self.samples),
            "parts": {name: list(values) for name, values in self.parts.items()},
            "raw": {name: list(values) for name, values in self.raw.items()},
            "note": self.note,
        }


def ratio(  # noqa: PLR0913 - one fact each
    letter: str,
    name: str,
    over: tuple[str, Sequence[float]],
    under: tuple[str, Sequence[float]],
    *,
    target: Target | None = None,
    note: str = "",
) -> Figure:
    """Return the figure ``over / under``, repeat by repeat; both are (words with unit, samples)."""
    samples = tuple(a / b for a, b in zip(over[1], under[1], strict=True))
    parts = {over[0]: tuple(over[1]), under[0]: tuple(under[1])}
    return Figure(
        letter=letter, name=name, unit="x", samples=samples, target=target, parts=parts, note=note
    )
