"""Checks of what others hold: packages and base images. No address is ever shown."""

from __future__ import annotations

from collections.abc import Iterator

from paritylab import hostpip, venvs
from paritylab.commands import Command, try_run
from paritylab.doctor.engines import absent_images
from paritylab.doctor.model import PATIENCE, Line, Scope
from paritylab.engines.dockerclient import explained
from paritylab.errors import DockerError

PROBE = "numpy"
"""A package that every index and folder of wheels must have which serves these environments."""


def package_index(scope: Scope) -> Iterator[Line]:
    """Ask for a package in the way that wheels are fetched: the host's pip, its settings."""
    argv = [*hostpip.command(), "--retries", "0", "--timeout", "8", "index", "versions", PROBE]
    said = try_run(Command(argv=argv, what="pip"), timeout=PATIENCE)
    wanted = scope.engine != "here" and not all(_at_hand(scope))
    found = f"pip finds {PROBE}" if said.status == 0 else f"pip does not find {PROBE}"
    if said.status and not wanted:
        found += "; everything that is needed is here already"
    fix = f"see what pip says: python -m pip download --no-deps {PROBE}; its settings: pip config"
    yield Line(name="package index", ok=said.status == 0, found=found, fix=fix, needed=wanted)


def _at_hand(scope: Scope) -> Iterator[bool]:
    absent = absent_images(scope) if scope.uses_docker else []
    for one in scope.environments:
        yield one.name not in absent if scope.uses_docker else venvs.made(one, scope.device)


def registry(scope: Scope) -> Iterator[Line]:
    """Ask the engine to ask the registry for the base images, unless it has them."""
    client = scope.docker
    if isinstance(client, DockerError):
        return
    for reference in sorted({one.stacks[scope.device].base for one in scope.environments}):
        here = reference in {name for i in client.images.list() for name in _digests(i.attrs)}
        title, _, digest = reference.partition("@")
        title = f"{title.rpartition('/')[2]}@{digest[7:19]}"
        if here:
            yield Line(name=f"base image {title}", ok=True, found="the engine has it")
            continue
        try:
            with explained("a question to the registry"):
                client.images.get_registry_data(reference)
            yield Line(name=f"base image {title}", ok=True, found="the registry has it")
        except DockerError:
            yield Line(
                name=f"base image {title}",
                ok=False,
                found="the engine cannot ask the registry for it",
                fix="without a registry: --base bootstrap (Debian, root)",
                needed=False,
            )


def _digests(attrs: dict[str, list[str] | None]) -> list[str]:
    return attrs.get("RepoDigests") or []
