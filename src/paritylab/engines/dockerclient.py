"""The Docker engine's API: a client that works, errors that say what to type."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from docker.client import DockerClient
from docker.errors import APIError, DockerException

from paritylab.errors import DockerError

API_SECONDS = 600  # committing a large image takes minutes on a slow disk
_FAULTS = (DockerException, requests.exceptions.RequestException)


def open_client() -> Any:
    """Return a client of the engine that ``DOCKER_HOST`` (or the default socket) names.

    Raises DockerError, with the command that helps, when no engine answers or it refuses us.
    """
    try:
        client = DockerClient.from_env(timeout=API_SECONDS)
        client.ping()
    except _FAULTS as fault:
        raise _unreachable(fault) from fault
    return client


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn whatever the Docker SDK raises in the block into a DockerError about ``doing``."""
    try:
        yield
    except APIError as fault:
        why = str(fault.explanation or fault)
        raise DockerError(f"the Docker engine refused {doing}", why=why.strip()) from fault
    except _FAULTS as fault:
        raise DockerError(
            f"the Docker engine did not answer while {doing}",
            why=str(fault).strip() or type(fault).__name__,
            fix="docker info",
        ) from fault


def _unreachable(fault: Exception) -> DockerError:
    where = os.environ.get("DOCKER_HOST", "/var/run/docker.sock")
    causes = list(_causes(fault))
    if any(isinstance(cause, PermissionError) for cause in causes):
        return DockerError(
            "no permission to talk to the Docker engine",
            where=where,
            why="your user is not in the group that owns the socket",
            fix='sudo usermod -aG docker "$USER" && newgrp docker',
        )
    if any(isinstance(cause, FileNotFoundError | ConnectionRefusedError) for cause in causes):
        return DockerError(
            "no Docker engine answers",
            where=where,
            why="Docker is not installed, or its daemon does not run",
            fix="sudo systemctl start docker (install it first: sudo apt-get install docker.io), "
            "or run without Docker: nox -s lab",
        )
    return DockerError(
        "the Docker engine cannot be used", where=where, why=str(fault), fix="docker info"
    )


def _causes(fault: BaseException | None) -> Iterator[BaseException]:
    """Walk an exception's causes; urllib3 and requests hide some of them in the arguments."""
    pending, seen = [fault], set()
    while pending:
        cause = pending.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        pending += [cause.__cause__, cause.__context__, getattr(cause, "reason", None)]
        pending += list(cause.args)
