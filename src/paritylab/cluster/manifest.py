"""What every host of a run is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

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

    def check(self) -> None:
        """Raise WorkerError on a host whose paritylab is another one."""
        mine = version("paritylab")
        if (self.version, self.protocol) != (mine, messages.PROTOCOL):
            raise WorkerError(
                f"this host has paritylab {mine}, the run is of {self.version}",
                fix=f"pip install 'paritylab[cluster]=={self.version}' on every host",
            )
