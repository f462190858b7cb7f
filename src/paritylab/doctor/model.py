"""What a check is asked and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from paritylab import catalog
from paritylab.engines.dockerclient import open_client
from paritylab.errors import CatalogError, DockerError, LabError
from paritylab.model import Environment

PATIENCE = 20
"""Seconds that anything outside this process has to answer."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that was looked at.

    ``found`` is a fact for people, ``fix`` the command that helps where it is not ``ok``.
    ``needed`` False: everything chosen runs without it, with less comfort or fewer cells.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    needed: bool = True

    @property
    def status(self) -> str:
        """``ok``, ``missing``, or ``optional`` for what is missing and not needed."""
        return "ok" if self.ok else "missing" if self.needed else "optional"


def healthy(lines: Iterable[Line]) -> bool:
    """True when nothing is missing that is needed."""
    return all(line.ok or not line.needed for line in lines)


@dataclass(frozen=True)
class Scope:
    """What is to run: an engine (``venv``, ``docker``, ``here``) on a device, in a project.

    What it learns about the machine it learns once.
    """

    engine: str = "venv"
    device: str = "cpu"
    root: Path | None = None

    @cached_property
    def project(self) -> catalog.Catalog | LabError:
        """The labs and environments, or why they cannot be read."""
        try:
            return catalog.load(self.root or catalog.find_root())
        except LabError as fault:
            return fault
        except OSError as fault:
            return CatalogError(
                f"{fault.filename}: {fault.strerror}", fix="paritylab doctor, in a checkout"
            )

    @property
    def environments(self) -> list[Environment]:
        """Those that have the device; none where the project cannot be read."""
        if isinstance(self.project, LabError):
            return []
        return [e for e in self.project.environments.values() if self.device in e.stacks]

    @cached_property
    def docker(self) -> Any | DockerError:
        """A client of the Docker engine that does not wait for ever, or why there is none."""
        try:
            client = open_client()
        except DockerError as fault:
            return fault
        client.api.timeout = PATIENCE
        return client

    @cached_property
    def engine_facts(self) -> Mapping[str, Any]:
        """What the Docker engine says of itself; empty where none answers."""
        if isinstance(self.docker, DockerError):
            return {}
        facts: Mapping[str, Any] = self.docker.info()
        return facts

    @property
    def uses_docker(self) -> bool:
        """Whether what is to run needs the Docker engine."""
        return self.engine == "docker"
