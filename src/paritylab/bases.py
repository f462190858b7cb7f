"""Base images: the official Python by digest, or one made of Debian packages on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from docker.client import DockerClient
from docker.errors import APIError
from rich.progress import Progress

from paritylab import atomic, cache, imagefile
from paritylab.commands import Command, run
from paritylab.errors import ImageError, InterpreterError, UsageError, nearest
from paritylab.imagefacts import KIND
from paritylab.imagefile import ImageConfig
from paritylab.imagetransfer import present
from paritylab.interpreters import find, install_command
from paritylab.model import Environment
from paritylab.shipped import recipes
from paritylab.turns import go_on

MODES = ("auto", "pull", "bootstrap")
DEBIAN_PYTHON = "3.11"
"""The Python of the Debian release that ``docker/bootstrap.sh`` uses."""
RUNTIME = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
    "Cmd": ["python3"],
}


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base image that the engine has, or can be given without asking anybody.

    ``reference`` is its id (bootstrap) or ``name@digest`` (pulled), never a moving tag, so it
    also says what the image's content is; ``tar`` is the bootstrapped file system.
    """

    reference: str
    title: str
    tar: Path | None = None
    config: ImageConfig | None = None


def identify(environment: Environment, device: str, *, mode: str, progress: Progress) -> Base:
    """Return the base of a stack; mode ``auto`` and ``pull`` never change anything here.

    ``bootstrap`` makes the tar if this machine has not made it before. Raises UsageError for an
    unknown mode, ImageError or InterpreterError when a base cannot be made.
    """
    if mode not in MODES:
        raise UsageError(f"unknown base `{mode}`", why=nearest(mode, MODES))
    if mode == "bootstrap":
        return bootstrap(environment, progress)
    stack = environment.stacks[device]
    return Base(reference=stack.base, title=stack.tag)


def provide(client: DockerClient, base: Base, environment: Environment, *, mode: str) -> str:
    """See to it that the engine has ``base``; return a reference that containers can be made of.

    Raises ImageError (DiskFullError) when it is neither there nor can be pulled or loaded.
    """
    there = present(client, base.reference)
    if there:
        return there
    if base.config and base.tar:
        with cache.locked(base.tar):  # two images that are built at a time may stand on it
            there = present(client, base.reference)
            return there or imagefile.load(client, base.config, base.title, base.tar)
    name, _, digest = base.reference.partition("@")
    try:
        for _ in client.api.pull(name, tag=digest, stream=True):
            go_on()
        return str(client.images.get(base.reference).id)
    except APIError as fault:
        hint = (
            f"add `--base bootstrap`: it makes the base of {environment.name} from Debian packages"
        )
        raise ImageError(
            f"the base image {base.title} cannot be pulled",
            where=f"environments/{environment.name}/environment.toml: base",
            why=str(fault.explanation or fault),
            fix=hint if mode == "auto" else f"check the engine's network, or {hint}",
        ) from fault


def bootstrap(environment: Environment, progress: Progress) -> Base:
    """Return a base with the environment's Python, made from Debian packages; cached by recipe.

    Debian's own interpreter where the version is the same, else one found on this machine.
    Raises ImageError (no mmdebstrap, not root, it failed) or InterpreterError.
    """
    script, arguments = _script(environment), _arguments(environment)
    tar = _tar(environment, script, arguments)
    with cache.locked(tar):
        if not _facts(tar).exists():
            layer = make(environment, tar, progress)
            # Written last: where it is, the tar is complete.
            atomic.write(_facts(tar), json.dumps({"layer": f"sha256:{layer}"}))
    return _made(environment, tar)


def make(environment: Environment, tar: Path, progress: Progress) -> str:
    """Make the file system of a base anew, whatever is cached; return the SHA-256 of the tar.

    Raises ImageError or InterpreterError.
    """
    _make(_script(environment), _arguments(environment), tar, progress)
    with tar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known(environment: Environment, device: str) -> list[Base]:
    """Return the bases a stack may stand on without making one: the pulled, the bootstrapped."""
    stack = environment.stacks[device]
    found = [Base(reference=stack.base, title=stack.tag)]
    if environment.python == DEBIAN_PYTHON or find(environment.python):
        tar = _tar(environment, _script(environment), _arguments(environment))
        found += [_made(environment, tar)] if _facts(tar).exists() else []
    return found


def _script(environment: Environment) -> Path:
    return recipes(environment.folder.parents[1]) / "bootstrap.sh"


def _arguments(environment: Environment) -> list[str]:
    if environment.python == DEBIAN_PYTHON:
        return [environment.python]
    return [environment.python, str(_interpreter(environment.python))]


def _tar(environment: Environment, script: Path, arguments: list[str]) -> Path:
    facts = "\n".join([script.read_text("utf-8"), *arguments])
    digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
    return cache.folder("bases") / f"python{environment.python}-{digest}.tar"


def _facts(tar: Path) -> Path:
    return tar.with_suffix(".json")


def _made(environment: Environment, tar: Path) -> Base:
    config = ImageConfig(
        layers=[json.loads(_facts(tar).read_text())["layer"]],
        history=[f"docker/bootstrap.sh python{environment.python}"],
        runtime={**RUNTIME, "Labels": {KIND: "base"}},
    )
    title = f"paritylab/base:python{environment.python}-{config.layers[0][7:19]}"
    return Base(reference=config.image_id, title=title, tar=tar, config=config)


def _interpreter(version: str) -> Path:
    found = find(version)
    if not found:
        raise InterpreterError(
            f"a base with Python {version} is made from an interpreter, and there is none here",
            fix=install_command(version),
        )
    return found


def _make(script: Path, arguments: list[str], tar: Path, progress: Progress) -> None:
    if not shutil.which("mmdebstrap") or os.geteuid() != 0:
        raise ImageError(
            "a base image is made by mmdebstrap, as root",
            why="you are not root" if shutil.which("mmdebstrap") else "mmdebstrap is not installed",
            fix="sudo apt-get install -y --no-install-recommends mmdebstrap, and run this as root",
        )
    task = progress.add_task(f"base image with Python {arguments[0]}", total=None)
    with cache.scratch(tar.parent) as folder:
        fresh = folder / tar.name
        run(
            Command(
                argv=["sh", str(script), str(fresh), *arguments],
                what=f"docker/bootstrap.sh {arguments[0]} failed",
                fix="apt-get update must work on this machine (Debian's mirrors are asked)",
            )
        )
        os.replace(fresh, tar)
    progress.update(task, total=1, completed=1)
