"""Images of environments: named after their content, built when they are not there."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from docker.client import DockerClient
from rich.progress import Progress

from paritylab import atomic, bases, cache, imagebuild, imageparts, locking, locks, wheelhouse
from paritylab.bases import Base
from paritylab.errors import ImageError
from paritylab.imagebuild import FOUNDATION, Recipe
from paritylab.imagefacts import KIND
from paritylab.imageparts import Part, parts
from paritylab.imagetransfer import present
from paritylab.model import Environment, Stack
from paritylab.shipped import recipes

KINDS = (f"{KIND}=image", f"{KIND}=base", f"{KIND}={FOUNDATION}")
LABEL = "paritylab.foundation"
"""What tells the tag of the foundation that an image was built on."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an image: what made it, and its size in bytes."""

    made_by: str
    size: int


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """One image that we made: its tag, id, size and layers, and what it was built on.

    ``kind`` is ``image``, ``base`` or ``foundation``; ``foundation`` the tag of an image's own.
    """

    tag: str
    image_id: str
    kind: str
    size: int
    layers: tuple[Layer, ...]
    foundation: str = ""


@dataclass(frozen=True, kw_only=True)
class Context:
    """A finished build context, and the arguments that ``docker build`` needs with it."""

    folder: Path
    arguments: Mapping[str, str]


def tag(environment: Environment, device: str, base: Base) -> str:
    """Return ``paritylab/<environment>:<device>-<hash>``.

    The hash covers the base, the lock, what is left out, docker/install.sh, docker/Dockerfile and
    docker/tools.lock, so an image under this name is the right one, and a second build has nothing
    to do.
    """
    recipe = _folder(environment)
    stack = environment.stacks[device]
    facts = [base.reference, stack.lock_digest, environment.python, device, *stack.drop]
    facts.append(f"large: {imageparts.LARGE}")
    files = [recipe / "install.sh", recipe / "Dockerfile", recipe / "tools.lock"]
    digest = hashlib.sha256("\n".join(facts).encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return f"paritylab/{environment.name}:{device}-{digest.hexdigest()[:12]}"


def ensure(
    client: DockerClient,
    environment: Environment,
    device: str,
    *,
    base: str = "auto",
    progress: Progress,
) -> str:
    """Return the id of a stack's image, building it if it is not there.

    ``base`` is ``auto``, ``pull`` or ``bootstrap``. Raises LockError, ImageError (DiskFullError),
    InterpreterError or DockerError.
    """
    found = bases.identify(environment, device, mode=base, progress=progress)
    name = tag(environment, device, found)
    there = present(client, name)
    if there:
        return there
    recipe = recipe_of(client, environment, device, base=found, mode=base, progress=progress)
    return made(client, recipe, progress)


def made(client: DockerClient, recipe: Recipe, progress: Progress) -> str:
    """Return the id of a recipe's image, building it and its foundation if they are not there."""
    with cache.locked(_build_lock(recipe.tag)):
        there = present(client, recipe.tag)
        if there:
            return there
        if recipe.foundation:
            below = made(client, recipe.foundation, progress)
            recipe = replace(recipe, base=below, foundation=None)
        return imagebuild.build(client, recipe, progress)


def recipe_of(  # noqa: PLR0913 - what is built, from what, and who is told
    client: DockerClient,
    environment: Environment,
    device: str,
    *,
    base: Base,
    mode: str,
    progress: Progress,
) -> Recipe:
    """Return what a stack's image is built from, with wheels and base at hand.

    Raises what ``ensure`` raises.
    """
    # Wheels first: without them the engine need not be bothered.
    below, above = _parts(environment, device, progress)
    shared = _shared(environment, device, progress)
    own = Recipe(
        tag=tag(environment, device, base),
        base=bases.provide(client, base, environment, mode=mode),
        files=above.files(shared),
        arguments=(f"python{environment.python}", device),
        dockerfile=_folder(environment) / "Dockerfile",
        labels=_labels(environment, device, base),
    )
    if not below.pins:
        return own
    name = _foundation_tag(own, base, below, shared)
    foundation = replace(own, tag=name, files=below.files(shared), labels={KIND: FOUNDATION})
    return replace(own, foundation=foundation, labels={**own.labels, LABEL: name})


def _foundation_tag(own: Recipe, base: Base, part: Part, shared: Mapping[str, Path]) -> str:
    """Named by what makes it, and by no environment: two may share it."""
    facts = [base.reference, *own.arguments, *(pin.requirement for pin in part.pins.values())]
    files = [path for name, path in sorted(shared.items()) if not name.startswith("tools/")]
    digests = [
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (*files, own.dockerfile, own.dockerfile.with_name("tools.lock"))
    ]
    digest = hashlib.sha256("\n".join([*facts, *digests]).encode()).hexdigest()
    return f"paritylab/{FOUNDATION}:{own.arguments[1]}-{digest[:12]}"


def context(
    environment: Environment, device: str, folder: Path, *, base: Base, progress: Progress
) -> Context:
    """Fill an empty ``folder`` so that ``docker build`` makes the same files as ``ensure``."""
    if folder.exists() and any(folder.iterdir()):
        raise ImageError(f"{folder} is not empty", fix="name a folder that is not there yet")
    shared = _shared(environment, device, progress)
    for part in _parts(environment, device, progress):
        for name, file in part.files(shared).items():
            target = folder / part.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    arguments = {"BASE": base.reference, "PYTHON": f"python{environment.python}", "DEVICE": device}
    return Context(folder=folder, arguments=arguments)


def current(environment: Environment, device: str) -> list[str]:
    """Return the tags and bases that today's files lead to, without making anything.

    Whichever way the base was made: all of them are worth keeping.
    """
    known = bases.known(environment, device)
    return [name for base in known for name in (tag(environment, device, base), base.reference)]


def listing(client: DockerClient) -> list[ImageRow]:
    """Return our images and bases with the size of every layer, by tag."""
    rows = []
    # One question per kind: labels that are asked for together must all be there.
    for image in [i for kind in KINDS for i in client.images.list(filters={"label": kind})]:
        layers = tuple(
            Layer(made_by=entry["CreatedBy"], size=entry["Size"])
            for entry in reversed(image.history())
        )
        rows += [
            ImageRow(
                tag=name,
                image_id=str(image.id),
                kind=image.labels[KIND],
                size=image.attrs["Size"],
                layers=layers,
                foundation=image.labels.get(LABEL, ""),
            )
            for name in image.tags
        ]
    return sorted(rows, key=lambda row: row.tag)


def prune(
    client: DockerClient, keep: Collection[str], *, environment: str | None = None
) -> list[str]:
    """Remove our images and bases but for the tags or ids in ``keep``, and what builds left.

    ``environment`` narrows it to the images of one. Returns the names of what was removed.
    Nothing that another tool made is touched, and no build that runs at the moment, whoever's.
    """
    prefix = f"paritylab/{environment}:" if environment else ""
    removed = superfluous(listing(client), keep, prefix)
    for name in removed:
        client.images.remove(name, force=True)
    return removed + sweep_builds(client, prefix)


def superfluous(rows: Iterable[ImageRow], keep: Collection[str], prefix: str = "") -> list[str]:
    """Return the tags below ``prefix`` that are not to be kept; what is, keeps its foundation."""
    rows = list(rows)
    wanted = {row.foundation for row in rows if {row.tag, row.image_id} & set(keep)} | set(keep)
    unwanted = (row for row in rows if not {row.tag, row.image_id} & wanted)
    return [row.tag for row in unwanted if row.tag.startswith(prefix)]


def abandoned(client: DockerClient, prefix: str = "") -> list[str]:
    """Return the tags of builds that left something behind and that nobody goes on with."""
    # Another thread of this run may be building this very moment, and then holds the lock.
    return [
        name
        for name in imagebuild.unfinished(client)
        if name.startswith(prefix) and not cache.is_locked(_build_lock(name))
    ]


def sweep_builds(client: DockerClient, prefix: str = "") -> list[str]:
    """Remove what abandoned builds left; return the names of what went."""
    found = abandoned(client, prefix)
    return [removed for name in found for removed in imagebuild.sweep(client, name)]


def _build_lock(name: str) -> Path:
    return cache.folder("builds") / name.replace("/", "-")


def _folder(environment: Environment) -> Path:
    folder = recipes(environment.folder.parents[1])
    if not (folder / "install.sh").is_file():
        raise ImageError(
            f"{folder} does not hold the recipe of the images",
            why="docker/install.sh is missing",
            fix="pip install --force-reinstall paritylab, or use a full checkout",
        )
    return folder


def _parts(environment: Environment, device: str, progress: Progress) -> tuple[Part, Part]:
    """The foundation's and the others' share of a stack's lock, with their wheels at hand."""
    stack = environment.stacks[device]
    wheels = wheelhouse.ensure(stack, environment.python, progress)
    return parts(locks.checked(stack, environment.python), wheels.glob("*.whl"))


def _shared(environment: Environment, device: str, progress: Progress) -> dict[str, Path]:
    """What install.sh reads for either part, by its name in the container."""
    recipe, stack = _folder(environment), environment.stacks[device]
    tools = wheelhouse.gather(
        locks.checked(locking.tools(recipe), locking.TOOLS_PYTHON),
        python=locking.TOOLS_PYTHON,
        index=None,
        name="docker-tools",
        progress=progress,
    )
    return {
        "install.sh": recipe / "install.sh",
        **({"drop": _drop_list(stack)} if stack.drop else {}),
        **{f"tools/{wheel.name}": wheel for wheel in sorted(tools.glob("*.whl"))},
    }


def _drop_list(stack: Stack) -> Path:
    text = "".join(f"{pattern}\n" for pattern in stack.drop)
    # Whole or not at all: another build may be reading it.
    return atomic.write(cache.folder("drop") / hashlib.sha256(text.encode()).hexdigest()[:12], text)


def _labels(environment: Environment, device: str, base: Base) -> dict[str, str]:
    return {
        KIND: "image",
        "paritylab.environment": environment.name,
        "paritylab.device": device,
        "paritylab.lock": environment.stacks[device].lock_digest,
        "paritylab.base": base.reference,
    }
