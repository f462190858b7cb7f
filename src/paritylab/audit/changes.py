"""What is recorded differently of two runs, and which cells each difference can reach."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from paritylab.audit.model import CellAudit
from paritylab.audit.records import Installation
from paritylab.locks import Pin

KINDS = (
    "package", "program", "inputs", "seed", "variables", "profile", "python", "cpu", "gpu",
    "engine", "system", "base", "image", "paritylab", "project",
)  # fmt: skip
"""Sorts of differences; of two that fit equally well the earlier one is named first."""
ANYWHERE = 99
"""How far a package is from a program whose needs are not known."""
_HOST = {
    "cpu": "cpu", "cpu_class": "cpu", "flags": "cpu", "microcode": "cpu", "machine": "cpu",
    "cores": "cpu", "gpus": "gpu", "kernel": "system", "libc": "system",
}  # fmt: skip
# Files of a lab that decide what its cells compute; the others are prose or expectations.
_INPUTS = "scenario.py"
_PROGRAMS = {"pytorch.py": "pytorch", "tf1.py": "tf1", "tf2.py": "tf2"}


@dataclass(frozen=True, kw_only=True)
class Side:
    """What is recorded of one run: facts.json, pins and inventories by stack."""

    facts: Mapping[str, Any]
    pins: Mapping[str, Mapping[str, Pin]]
    installations: Mapping[str, Installation]
    profile: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """One recorded difference.

    ``kind`` is one of KINDS; ``cells`` are the ids it can reach, each with how many steps away it
    is (0: the program imports the package itself; the same for all where that means nothing).
    """

    kind: str
    name: str
    before: str
    after: str
    cells: Mapping[str, int]

    @property
    def sentence(self) -> str:
        """``package numpy: 2.2.5 -> 2.2.6``."""
        return f"{self.kind} {self.name}: {self.before} -> {self.after}"


def changes(before: Side, after: Side, cells: Sequence[CellAudit]) -> list[Change]:
    """Return every recorded difference that can reach one of ``cells``, in the order of KINDS."""
    found = [
        *_host(before.facts, after.facts, cells),
        *_engine(before.facts, after.facts, cells),
        *_labs(before.facts, after.facts, cells),
        *_project(before, after, cells),
    ]
    for name in sorted(before.facts["stacks"].keys() & after.facts["stacks"].keys()):
        of_stack = [cell for cell in cells if f"{cell.environment}-{cell.device}" == name]
        if of_stack:
            found += _stack(before, after, name, of_stack)
    return sorted(found, key=lambda one: (KINDS.index(one.kind), one.name))


def _everywhere(cells: Sequence[CellAudit]) -> dict[str, int]:
    return {cell.cell: 0 for cell in cells}


def _host(
    before: Mapping[str, Any], after: Mapping[str, Any], cells: Sequence[CellAudit]
) -> Iterator[Change]:
    for name, kind in _HOST.items():
        old, new = before["host"].get(name), after["host"].get(name)
        if old != new:
            told = _sets(old, new) if name == "flags" else (_said(old), _said(new))
            yield Change(
                kind=kind, name=name, before=told[0], after=told[1], cells=_everywhere(cells)
            )


def _engine(
    before: Mapping[str, Any], after: Mapping[str, Any], cells: Sequence[CellAudit]
) -> Iterator[Change]:
    for name in sorted(before["engine"].keys() | after["engine"].keys()):
        old, new = before["engine"].get(name), after["engine"].get(name)
        if old != new:
            yield Change(
                kind="engine", name=name, before=_said(old), after=_said(new),
                cells=_everywhere(cells),
            )  # fmt: skip


def _labs(
    before: Mapping[str, Any], after: Mapping[str, Any], cells: Sequence[CellAudit]
) -> Iterator[Change]:
    for slug in sorted(before["labs"].keys() & after["labs"].keys()):
        old, new = before["labs"][slug], after["labs"][slug]
        of_lab = [cell for cell in cells if cell.lab == slug]
        if old.get("seed") != new.get("seed"):
            yield Change(
                kind="seed", name=slug, before=_said(old.get("seed")), after=_said(new.get("seed")),
                cells=_everywhere(of_lab),
            )  # fmt: skip
        for file in sorted(old["files"].keys() | new["files"].keys()):
            digests = old["files"].get(file), new["files"].get(file)
            reached = [c for c in of_lab if _PROGRAMS.get(file, c.implementation if file ==
                       _INPUTS else None) == c.implementation]  # fmt: skip
            if digests[0] != digests[1] and reached:
                yield Change(
                    kind="inputs" if file == _INPUTS else "program",
                    name=f"labs/{slug}/{file}",
                    before=_short(digests[0]),
                    after=_short(digests[1]),
                    cells=_everywhere(reached),
                )


def _project(before: Side, after: Side, cells: Sequence[CellAudit]) -> Iterator[Change]:
    facts = (before.facts["project"], after.facts["project"])
    for name in ("commit", "dirty"):
        old, new = facts[0].get(name), facts[1].get(name)
        if old != new:
            yield Change(
                kind="project", name=name, before=_short(old), after=_short(new),
                cells=_everywhere(cells),
            )  # fmt: skip
    if before.profile != after.profile:
        yield Change(
            kind="profile", name="profile", before=before.profile, after=after.profile,
            cells=_everywhere(cells),
        )  # fmt: skip


def _stack(before: Side, after: Side, name: str, cells: Sequence[CellAudit]) -> Iterator[Change]:
    old, new = before.facts["stacks"][name], after.facts["stacks"][name]
    for key, kind in (("python", "python"), ("base", "base"), ("image", "image")):
        if old.get(key) != new.get(key):
            yield Change(
                kind=kind, name=name, before=_said(old.get(key)), after=_said(new.get(key)),
                cells=_everywhere(cells),
            )  # fmt: skip
    pythons = [
        side.installations[name].python if name in side.installations else None
        for side in (before, after)
    ]
    if None not in pythons and pythons[0] != pythons[1]:
        yield Change(
            kind="python", name=f"{name} build", before=_said(pythons[0]), after=_said(pythons[1]),
            cells=_everywhere(cells),
        )  # fmt: skip
    yield from _variables(old, new, name, cells, (before.profile, after.profile))
    yield from _packages(before, after, name, cells)


def _variables(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    stack: str,
    cells: Sequence[CellAudit],
    profiles: tuple[str, str],
) -> Iterator[Change]:
    sets = [
        {
            **side.get("profiles", {}).get(profile, {}),
            **side.get("device_profiles", {}).get(profile, {}),
            **side.get("device_variables", {}),
        }
        for side, profile in zip((old, new), profiles, strict=True)
    ]
    for name in sorted(sets[0].keys() | sets[1].keys()):
        values = sets[0].get(name), sets[1].get(name)
        if values[0] != values[1]:
            yield Change(
                kind="variables", name=f"{name} ({stack})", before=_said(values[0]),
                after=_said(values[1]), cells=_everywhere(cells),
            )  # fmt: skip


def _packages(
    before: Side, after: Side, stack: str, cells: Sequence[CellAudit]
) -> Iterator[Change]:
    old, new = before.pins[stack], after.pins[stack]
    near = {
        cell.cell: _merged(_needs(before, stack, cell), _needs(after, stack, cell))
        for cell in cells
    }
    for name in sorted(old.keys() | new.keys()):
        pins = old.get(name), new.get(name)
        if len({(pin.version, frozenset(pin.hashes)) if pin else None for pin in pins}) == 1:
            continue
        reached = {
            cell: needs.get(name, ANYWHERE)
            for cell, needs in near.items()
            if not needs or name in needs
        }
        versions = [pin.version if pin else "none" for pin in pins]
        if versions[0] == versions[1]:
            versions = [f"{v} (another file)" for v in versions]
        if reached:
            yield Change(
                kind="package", name=name, before=versions[0], after=versions[1], cells=reached
            )


def _needs(side: Side, stack: str, cell: CellAudit) -> dict[str, int]:
    """How many steps each package is away from what the cell's program imports.

    Empty where the needs of packages were not recorded.
    """
    installation = side.installations.get(stack)
    if installation is None:
        return {}
    requires = {one.name: one.requires for one in installation.distributions}
    of_module = {m: one.name for one in installation.distributions for m in one.modules}
    facts = side.facts["stacks"][stack]
    modules = ["numpy", *facts.get("preload", {}).get(cell.implementation, [])]
    roots = {of_module.get(module.split(".")[0]) for module in modules}
    lab = side.facts["labs"].get(cell.lab, {})
    roots |= set(_named(lab.get("requires", {}).get(cell.implementation, [])))
    steps = {name: 0 for name in roots if name in requires}
    pending = list(steps)
    for name in pending:  # breadth first: it grows while it is read
        for other in requires[name]:
            if other in requires and other not in steps:
                steps[other] = steps[name] + 1
                pending.append(other)
    return steps


def _named(requirements: Collection[str]) -> Iterator[str]:
    for text in requirements:
        try:
            yield canonicalize_name(Requirement(text).name)
        except InvalidRequirement:
            continue


def _merged(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The shorter way of the two; where one is not known, the other's."""
    if not one or not other:
        return dict(one or other)
    return {
        name: min(one.get(name, ANYWHERE), other.get(name, ANYWHERE)) for name in {*one, *other}
    }


def _sets(old: object, new: object) -> tuple[str, str]:
    """Only what one of two lists has and the other has not."""
    lists = [set(map(str, one)) if isinstance(one, list) else set() for one in (old, new)]
    lost, won = sorted(lists[0] - lists[1]), sorted(lists[1] - lists[0])
    return " ".join(lost) or "none more", " ".join(won) or "none more"


def _said(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _short(digest: object) -> str:
    return str(digest)[:12] if isinstance(digest, str) else _said(digest)
