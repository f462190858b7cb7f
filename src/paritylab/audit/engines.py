"""The engines of an audit: they can start a worker with the preloaded library or fixed addresses.

The variables ``shim.WANTED`` and ``shim.FIXED`` of a worker's key ask for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from paritylab.audit import shim
from paritylab.engines.base import Engine
from paritylab.engines.docker import DockerEngine
from paritylab.engines.here import HereEngine
from paritylab.engines.venv import VenvEngine
from paritylab.model import WorkerKey
from paritylab.plan import Options


class AuditVenvEngine(VenvEngine):
    """Virtual environments, on this machine's own file system."""

    def command(self, key: WorkerKey) -> list[str]:
        """See LocalEngine."""
        return launched(super().command(key), key, preload=False)

    def variables(self, key: WorkerKey) -> Mapping[str, str]:
        """See LocalEngine."""
        return {**super().variables(key), **preloaded(key)}


class AuditHereEngine(HereEngine):
    """This interpreter, likewise."""

    def command(self, key: WorkerKey) -> list[str]:
        """See LocalEngine."""
        return launched(super().command(key), key, preload=False)

    def variables(self, key: WorkerKey) -> Mapping[str, str]:
        """See LocalEngine."""
        return {**super().variables(key), **preloaded(key)}


class AuditDockerEngine(DockerEngine):
    """Containers: nothing is mounted, so the library goes into the worker's memory."""

    def command(self, key: WorkerKey) -> list[str]:
        """See DockerEngine."""
        return launched(super().command(key), key, preload=shim.WANTED in key.variables)


def preloaded(key: WorkerKey) -> Mapping[str, str]:
    """Return the variables that load the library from its file, if the key asks for it."""
    found = shim.library() if shim.WANTED in key.variables else None
    return {"LD_PRELOAD": str(found)} if isinstance(found, Path) else {}


def launched(command: list[str], key: WorkerKey, *, preload: bool) -> list[str]:
    """Return a worker's command, by way of the launcher if its key asks for that."""
    if not preload and shim.FIXED not in key.variables:
        return command
    return [command[0], "-c", shim.launcher(preload=preload), *command[1:]]


def open_audit_engine(options: Options) -> Engine:
    """Return the chosen engine; raises DockerError when no Docker engine answers."""
    if options.engine == "docker":
        return AuditDockerEngine(base=options.base)
    return AuditHereEngine() if options.engine == "here" else AuditVenvEngine()
