"""What every host of a run is told."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Self

from paritylab.cluster import messages
from paritylab.errors import WorkerError

IDLE_SECONDS = 120.0
"""After so long without a job a site stops its workers; the next job starts new ones."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What every site of a run is told; plain data.

    ``use`` is ``cells``, ``audit`` (its engines can make an audit's variations) or ``grade`` (a
    sandbox for each batch, as ``grading`` says: see school); ``kit`` holds
    the project's files, see ``kits``; ``tags`` names the images
    that environments need (``tf2-cpu``), ``images`` says where they are (settings.Images).
    """

    run: str
    engine: str
    base: str
    kit: Mapping[str, str]
    use: str = "cells"
    tags: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str | None] = field(default_factory=dict)
    grading: Mapping[str, Any] = field(default_factory=dict)
    idle: float = IDLE_SECONDS
    protocol: int = messages.PROTOCOL
    version: str = version("paritylab")

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what the desk told of a run.

        Raises WorkerError on a host whose paritylab is another one.
        """
        mine, found = version("paritylab"), None
        with suppress(TypeError):  # a field that one of the two does not know
            found = cls(**facts)
        if found and (found.version, found.protocol) == (mine, messages.PROTOCOL):
            return found
        theirs, protocol = facts.get("version"), facts.get("protocol")
        raise WorkerError(
            f"this host has paritylab {mine} (protocol {messages.PROTOCOL}), "
            f"the run is of {theirs} (protocol {protocol})",
            fix=f"pip install 'paritylab[cluster]=={theirs}' on every host",
        )
