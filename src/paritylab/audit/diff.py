"""Two audits side by side: what is equal, what moved and how far, and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np

from paritylab.audit.changes import KINDS, Change, Side, changes
from paritylab.audit.model import CellAudit, Difference
from paritylab.audit.observe import difference
from paritylab.audit.sentences import counted
from paritylab.audit.verify import Bundle
from paritylab.compare import ulp_distance
from paritylab.digest import canonical
from paritylab.model import Comparison, OutputSpec, Value

SUSPECTS = 3
"""Differences that are named for a cell."""
_SHOWN_BY = {
    "cpu": ("cpu-", "isa-", "threads", "affinity"),
    "engine": ("engine-",),
    "gpu": ("device",),
    "package": ("environment",),
}
# A variation whose name begins so is the same sort of change, made on purpose on one machine.


class State(StrEnum):
    """What became of a cell from one audit to the other."""

    EQUAL = "equal"
    MOVED = "moved"
    FAILED = "failed here"
    ONLY_BEFORE = "only in the first"
    ONLY_AFTER = "only in the second"
    UNKNOWN = "no outputs to compare"


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A recorded difference that goes with a cell's move.

    Of the cells that it can reach, ``moved`` have other bits and ``stayed`` have not. ``known``
    are variations of this sort under which one of the two audits has seen the cell move.
    """

    kind: str
    sentence: str
    moved: int
    stayed: int
    known: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CellDiff:
    """One cell in two audits.

    ``first`` is the first element that differs, in the order of steps; ``max_ulp`` and
    ``max_relative`` the largest distances by output. ``by_nature`` says that only outputs moved
    whose bits the lab does not promise. ``note`` adds what else is to say.
    """

    cell: str
    state: State
    before: str | None
    after: str | None
    tier_before: str | None
    tier_after: str | None
    by_nature: bool = False
    first: Difference | None = None
    max_ulp: Mapping[str, int] = field(default_factory=dict)
    max_relative: Mapping[str, float] = field(default_factory=dict)
    goes_with: tuple[Suspect, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Two audits: cells, and all that is recorded differently."""

    before: str
    after: str
    cells: tuple[CellDiff, ...]
    changes: tuple[Change, ...]

    @property
    def equal(self) -> bool:
        """Whether every cell is in both, with the same bits."""
        return bool(self.cells) and all(one.state is State.EQUAL for one in self.cells)

    @property
    def verdict(self) -> str:
        """One sentence: how many moved, and with what."""
        moved = [one for one in self.cells if one.state is State.MOVED]
        equal = sum(one.state is State.EQUAL for one in self.cells)
        if not moved:
            whole = counted(len(self.cells), "cell")
            return f"{equal} of {whole} with the same bits; none moved"
        named = sorted({s.sentence for one in moved for s in one.goes_with[:1]})
        told = "; ".join(named[:SUSPECTS]) or "no recorded difference"
        return f"{counted(len(moved), 'cell')} moved, {equal} equal; goes with: {told}"


def diff(before: Bundle, after: Bundle) -> Diff:
    """Compare two bundles cell by cell; raises BundleError for outputs that are broken."""
    old = {cell.cell: cell for cell in before.audit.cells}
    new = {cell.cell: cell for cell in after.audit.cells}
    compared = [_cell(old.get(name), new.get(name), before, after) for name in sorted({*old, *new})]
    every = [new.get(name) or old[name] for name in sorted({*old, *new})]
    found = changes(side(before), side(after), every)
    return Diff(
        before=before.digest,
        after=after.digest,
        cells=tuple(attributed(compared, found, seen_moving(before, after))),
        changes=tuple(found),
    )


def side(bundle: Bundle) -> Side:
    """What a bundle records of its run."""
    return Side(
        facts=bundle.facts,
        pins=bundle.pins,
        installations=bundle.installations,
        profile=str(bundle.audit.facts.get("profile", "portable")),
    )


def seen_moving(*bundles: Bundle) -> dict[str, tuple[str, ...]]:
    """The single variations under which each cell moved in one of the audits."""
    found: dict[str, set[str]] = {}
    for bundle in bundles:
        for cell in bundle.audit.cells:
            found.setdefault(cell.cell, set()).update(n for n in cell.moved if "+" not in n)
    return {cell: tuple(sorted(names)) for cell, names in found.items()}


def attributed(
    cells: Sequence[CellDiff],
    found: Sequence[Change],
    moving: Mapping[str, tuple[str, ...]] | None = None,
) -> list[CellDiff]:
    """Return the cells with what goes with each that moved, the best fit first.

    A difference fits the better the fewer cells it can reach that did not move, and the nearer it
    is to the program; one of a sort that an audit has shown to move the cell (``moving``) comes
    first.
    """
    shown = moving or {}
    moved = {one.cell for one in cells if one.state is State.MOVED}
    stayed = {one.cell for one in cells if one.state is State.EQUAL}

    def suspects(cell: str) -> tuple[Suspect, ...]:
        reaching = [one for one in found if cell in one.cells]
        reaching.sort(
            key=lambda one: (not _known(one, shown.get(cell, ())), _rank(one, cell, moved, stayed))
        )
        return tuple(
            Suspect(
                kind=one.kind,
                sentence=one.sentence,
                moved=len(one.cells.keys() & moved),
                stayed=len(one.cells.keys() & stayed),
                known=_known(one, shown.get(cell, ())),
            )
            for one in reaching[:SUSPECTS]
        )

    return [
        replace(one, goes_with=suspects(one.cell)) if one.state is State.MOVED else one
        for one in cells
    ]


def _known(one: Change, moving: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in moving if name.startswith(_SHOWN_BY.get(one.kind, ("+",))))


# Follow from others (an image from its lock), or say nothing by themselves.
_DERIVED = frozenset({"image", "project", "paritylab"})


def _rank(
    one: Change, cell: str, moved: set[str], stayed: set[str]
) -> tuple[bool, float, int, int, str]:
    hit, missed = len(one.cells.keys() & moved), len(one.cells.keys() & stayed)
    share = missed / (hit + missed)
    return one.kind in _DERIVED, share, KINDS.index(one.kind), one.cells[cell], one.name


def _cell(old: CellAudit | None, new: CellAudit | None, before: Bundle, after: Bundle) -> CellDiff:
    known = new or old
    assert known is not None
    facts: dict[str, Any] = {
        "cell": known.cell,
        "before": old.digest if old else None,
        "after": new.digest if new else None,
        "tier_before": str(old.tier) if old else None,
        "tier_after": str(new.tier) if new else None,
    }
    if old is None or new is None:
        state = State.ONLY_AFTER if old is None else State.ONLY_BEFORE
        return CellDiff(state=state, **facts)
    if not (old.baseline and new.baseline):
        return CellDiff(state=State.UNKNOWN, **facts)
    if old.baseline == new.baseline:
        return CellDiff(state=State.EQUAL, **facts)
    specs = specs_of(after.facts, new.lab)
    outputs = before.outputs(old.baseline), after.outputs(new.baseline)
    state = State.EQUAL if old.digest == new.digest else State.MOVED
    by_nature = state is State.EQUAL
    return CellDiff(state=state, by_nature=by_nature, **facts, **distances(*outputs, specs))


def distances(
    old: Mapping[str, Value], new: Mapping[str, Value], specs: Mapping[str, OutputSpec]
) -> dict[str, Any]:
    """Return ``first``, ``max_ulp`` and ``max_relative`` of two cells' outputs."""
    firsts: list[Difference] = []
    ulps: dict[str, int] = {}
    relatives: dict[str, float] = {}
    for name in sorted(old.keys() & new.keys()):
        spec = specs.get(name) or _spec(name, {})
        found = difference(spec, old[name], new[name])
        if found is None:
            continue
        firsts += [found] if spec.bits else []
        a, b = (np.asarray(canonical(values[name])) for values in (old, new))
        if a.dtype.kind == "f" and (a.dtype, a.shape) == (b.dtype, b.shape):
            finite = np.isfinite(a) & np.isfinite(b)
            ulps[name] = int(np.max(ulp_distance(a[finite], b[finite]), initial=0))
            relatives[name] = _relative(a[finite], b[finite])
    first = min(firsts, key=lambda one: (one.step is None, one.step or 0), default=None)
    return {"first": first, "max_ulp": ulps, "max_relative": relatives}


def _relative(a: np.ndarray, b: np.ndarray) -> float:
    """The largest distance, in units of the largest magnitude."""
    scale = float(np.max(np.abs(a.astype(np.float64)), initial=0.0))
    error = float(np.max(np.abs(b.astype(np.float64) - a.astype(np.float64)), initial=0.0))
    return error / scale if scale else 0.0


def specs_of(facts: Mapping[str, Any], lab: str) -> dict[str, OutputSpec]:
    """The declarations of a lab's outputs, as far as facts.json has them."""
    outputs = facts["labs"].get(lab, {}).get("outputs", {})
    return {name: _spec(name, told) for name, told in outputs.items() if isinstance(told, dict)}


def _spec(name: str, told: Mapping[str, Any]) -> OutputSpec:
    return OutputSpec(
        name=name,
        dtype="",
        shape=(),
        compare=Comparison.CLOSE,
        rtol=0.0,
        atol=0.0,
        steps=bool(told.get("steps")),
        per_implementation=False,
        bits=bool(told.get("bits", True)),
        why="",
        points=0.0,
    )
