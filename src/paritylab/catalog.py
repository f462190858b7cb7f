"""TOML -> model: every lab and environment, read once, all faults told with file and key."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from packaging.requirements import InvalidRequirement, Requirement

from paritylab.contract import check_rubric, check_sources
from paritylab.environmentfile import EnvironmentModel, StackModel
from paritylab.errors import CatalogError, LabError, UsageError, nearest
from paritylab.locks import lock_digest, parse_lock
from paritylab.model import (
    IMPLEMENTATIONS,
    Claim,
    Comparison,
    Environment,
    Lab,
    LabImplementation,
    Limits,
    OutputSpec,
    Stack,
    Support,
)
from paritylab.schema import (
    DataModel,
    ImplementationModel,
    LabModel,
    OutputModel,
    parse_toml,
)

SLUG = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
# Another build of the same package satisfies a lab's `requires`.
SAME_PACKAGE = {"tensorflow-cpu": "tensorflow"}
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All labs and environments of a project, sorted by name."""

    root: Path
    labs: Mapping[str, Lab]
    environments: Mapping[str, Environment]


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder upwards that holds ``labs/`` and ``environments/``.

    ``PARITYLAB_ROOT`` overrides the search. Raises UsageError when there is none.
    """
    override = os.environ.get("PARITYLAB_ROOT")
    here = Path(override) if override else (start or Path.cwd())
    for folder in (here, *here.resolve().parents):
        if (folder / "labs").is_dir() and (folder / "environments").is_dir():
            return folder.resolve()
    raise UsageError(
        f"no project at or above {here}",
        why="a project is a folder with labs/ and environments/",
        fix="change into the checkout, add --labs PATH, or begin one: paritylab new-course PATH",
    )


def load(root: Path, *, labs: Collection[str] = (), environments: Collection[str] = ()) -> Catalog:
    """Read the project at ``root``; names narrow it (a broken lab elsewhere is then no matter).

    Raises CatalogError that tells every fault found, UsageError for an unknown name.
    """
    faults: list[LabError] = []
    _check_data(root / "labs" / "_data", root, faults)
    found_labs = _each(root / "labs", "lab.toml", labs, lambda f: _lab(f, root), faults)
    found_environments = _each(
        root / "environments",
        "environment.toml",
        environments,
        lambda f: read_environment(f, root),
        faults,
    )
    if faults:
        raise _combined(faults)
    return Catalog(root=root, labs=found_labs, environments=found_environments)


def _combined(faults: list[LabError]) -> LabError:
    if len(faults) == 1:
        return faults[0]
    return CatalogError(
        f"{len(faults)} faults in labs/ and environments/:\n" + "\n".join(map(str, faults))
    )


def _each(
    parent: Path,
    file: str,
    names: Collection[str],
    read: Callable[[Path], T],
    faults: list[LabError],
) -> dict[str, T]:
    folders = {f.name: f for f in sorted(parent.iterdir()) if f.is_dir() and f.name[0] not in "._"}
    for name in names:
        if name not in folders:
            kind = file.removesuffix(".toml")
            raise UsageError(f"unknown {kind} `{name}`", why=nearest(name, folders))
    found: dict[str, T] = {}
    for name, folder in folders.items():
        if names and name not in names:
            continue
        try:
            found[name] = read(folder)
        except LabError as fault:
            faults.append(fault)
    return found


def _check_data(folder: Path, root: Path, faults: list[LabError]) -> None:
    """Hold every data file against the SHA-256 that its description states."""
    for path in sorted(folder.glob("*.toml")):
        shown = str(path.relative_to(root))
        try:
            data = parse_toml(path, DataModel, shown=shown)
            file = folder / data.file
            if not file.is_file():
                raise CatalogError(f"data file {data.file} is missing", where=f"{shown}: file")
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            if digest != data.sha256:
                raise CatalogError(
                    f"{data.file} has SHA-256 {digest}",
                    where=f"{shown}: sha256",
                    why="the data changed; every expected value rests on it",
                    fix=f"git checkout -- labs/_data/{data.file}",
                )
        except LabError as fault:
            faults.append(fault)


def _slug(folder: Path, root: Path) -> str:
    if not SLUG.match(folder.name):
        raise CatalogError(
            f"`{folder.name}` is no valid name",
            where=str(folder.relative_to(root)),
            why="names are lower-case letters, digits and single hyphens",
        )
    return folder.name


def _lab(folder: Path, root: Path) -> Lab:
    shown = str(folder.relative_to(root) / "lab.toml")
    model = parse_toml(folder / "lab.toml", LabModel, shown=shown)
    written = {str(name): table for name, table in model.implementations.items()}
    implementations = {
        name: _lab_implementation(folder, name, written.get(name), shown)
        for name in IMPLEMENTATIONS
    }
    lab = lab_of(model, _slug(folder, root), folder, implementations)
    check_rubric(lab, root, shown)
    check_sources(lab)
    return lab


def lab_of(
    model: LabModel, slug: str, folder: Path, implementations: Mapping[str, LabImplementation]
) -> Lab:
    """Return the frozen lab that a validated lab.toml describes."""
    return Lab(
        slug=slug,
        folder=folder,
        title=model.title,
        guide=model.guide,
        seed=model.seed,
        stages=model.stages,
        outputs={name: _output(name, output) for name, output in model.outputs.items()},
        implementations=implementations,
        limits=Limits(**model.limits.model_dump()),
        claims=tuple(Claim(**claim.model_dump()) for claim in model.claims),
        rubric=model.grading.rubric() if model.grading else None,
    )


def _output(name: str, model: OutputModel) -> OutputSpec:
    compare = Comparison(model.compare)
    usual = 0.0 if compare is Comparison.MEASURED else 1.0
    return OutputSpec(
        name=name,
        compare=compare,
        points=usual if model.points is None else model.points,
        **model.model_dump(exclude={"compare", "points"}),
    )


def _lab_implementation(
    folder: Path, name: str, model: ImplementationModel | None, shown: str
) -> LabImplementation:
    model = model or ImplementationModel()
    source = folder / f"{name}.py"
    if model.unsupported and source.exists():
        raise CatalogError(
            f"declared unsupported, but {name}.py is there",
            where=f"{shown}: implementations.{name}.unsupported",
            fix="delete one of the two",
        )
    if not model.unsupported and not source.is_file():
        raise CatalogError(
            f"{name}.py is missing",
            where=f"{shown}: implementations.{name}",
            fix=f"write {name}.py, or declare [implementations.{name}] unsupported = 'why'",
        )
    for requirement in model.requires:
        try:
            Requirement(requirement)
        except InvalidRequirement as fault:
            raise CatalogError(
                f"`{requirement}` is no requirement",
                where=f"{shown}: implementations.{name}.requires",
                why=str(fault),
            ) from None
    return LabImplementation(
        name=name,
        source=None if model.unsupported else source,
        requires=model.requires,
        unsupported=model.unsupported,
        cpu_bits=model.cpu_bits,
    )


def read_environment(folder: Path, root: Path) -> Environment:
    """Return the environment of one folder; ``root`` is what messages name it from."""
    shown = str(folder.relative_to(root) / "environment.toml")
    model = parse_toml(folder / "environment.toml", EnvironmentModel, shown=shown)
    return Environment(
        name=_slug(folder, root),
        folder=folder,
        title=model.title,
        python=model.python,
        stacks={
            device: _stack(folder, device, stack, root) for device, stack in model.devices.items()
        },
        profiles={
            "portable": model.profiles.portable,
            "native": model.profiles.native,
        },
        support={
            name: Support(implementation=name, **getattr(model.implementations, name).model_dump())
            for name in IMPLEMENTATIONS
        },
    )


def _stack(folder: Path, device: str, model: StackModel, root: Path) -> Stack:
    lock = folder / f"{device}.lock"
    requirements = folder / f"{device}.in"
    if not requirements.is_file():
        raise CatalogError(
            "the file is missing",
            where=str(requirements.relative_to(root)),
            why=f"environment.toml declares devices.{device}",
            fix=f"write the top-level pins into {requirements.name}, then `nox -s lock`",
        )
    pins = parse_lock(lock) if lock.is_file() else {}
    packages = {name: pin.version for name, pin in pins.items()}
    for other, same in SAME_PACKAGE.items():
        if other in packages:
            packages.setdefault(same, packages[other])
    return Stack(
        device=device,
        folder=folder,
        packages=packages,
        lock_digest=lock_digest(lock) if lock.is_file() else "",
        **model.model_dump(),
    )
