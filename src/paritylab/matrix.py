"""labs x environments -> sorted cells; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from paritylab.catalog import Catalog
from paritylab.errors import UsageError, nearest
from paritylab.model import DEVICES, IMPLEMENTATIONS, Cell, Environment, Lab

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What narrows the matrix; an empty tuple means everything."""

    labs: tuple[str, ...] = ()
    implementations: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    device: str = "cpu"

    def check(self) -> Selection:
        """Raise UsageError for an implementation or device that does not exist."""
        for name in self.implementations:
            _known("implementation", name, IMPLEMENTATIONS)
        _known("device", self.device, DEVICES)
        return self


def _known(kind: str, name: str, valid: Collection[str]) -> None:
    if name not in valid:
        raise UsageError(f"unknown {kind} `{name}`", why=nearest(name, valid))


def cells(catalog: Catalog, selection: Selection) -> list[Cell]:
    """Every selected cell, sorted by environment, implementation and lab.

    Unsupported cells are part of it, with their reason; environments that do not have the
    device are not. The order is stable: xdist workers must collect the same list.
    """
    selection.check()
    return [
        _cell(lab, implementation, environment, selection.device)
        for environment in _chosen(catalog.environments, selection.environments)
        if selection.device in environment.stacks
        for implementation in IMPLEMENTATIONS
        if implementation in (selection.implementations or IMPLEMENTATIONS)
        for lab in _chosen(catalog.labs, selection.labs)
    ]


def _chosen(every: Mapping[str, T], names: Collection[str]) -> list[T]:
    return [every[name] for name in sorted(every) if not names or name in names]


def _cell(lab: Lab, implementation: str, environment: Environment, device: str) -> Cell:
    return Cell(
        lab=lab,
        implementation=implementation,
        environment=environment,
        device=device,
        unsupported=why_unsupported(lab, implementation, environment, device),
    )


def why_unsupported(
    lab: Lab, implementation: str, environment: Environment, device: str
) -> str | None:
    """Return the declared reason why this cell cannot run, or None."""
    ours, theirs = lab.implementations[implementation], environment.support[implementation]
    if ours.unsupported or theirs.unsupported:
        return ours.unsupported or theirs.unsupported
    packages = environment.stacks[device].packages
    for text in ours.requires:
        requirement = Requirement(text)
        version = packages.get(canonicalize_name(requirement.name))
        if version is None:
            return f"{environment.name} has no {requirement.name}"
        if not requirement.specifier.contains(version, prereleases=True):
            return f"{environment.name} has {requirement.name} {version}, the lab needs {text}"
    return None
