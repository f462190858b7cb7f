"""Opening a desk: settings, scheduler, what its hosts are told; nothing is left of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paritylab import bases, images
from paritylab.cluster import kits, settings
from paritylab.cluster.desk import DaskDesk
from paritylab.cluster.link import Link
from paritylab.cluster.manifest import Manifest
from paritylab.cluster.schedulers import open_scheduler
from paritylab.errors import LabError
from paritylab.model import Environment
from paritylab.progress import Display


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a cluster is to have: environments by name and device, and an engine for them.

    ``use`` and ``grading`` are those of a Manifest; ``gpus`` says that a trial cluster needs some.
    """

    stacks: Mapping[tuple[str, str], Environment]
    root: Path
    engine: str
    base: str
    use: str = "cells"
    gpus: bool = False
    grading: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def opened(cluster: str, wanted: Wanted, *, file: Path | None = None) -> Iterator[DaskDesk]:
    """Open the cluster that ``--cluster`` names; ``file`` is the cluster.toml.

    Raises UsageError, CatalogError or EngineError.
    """
    chosen = settings.read(file, wanted.root)
    manifest = Manifest(
        run=secrets.token_hex(8), engine=wanted.engine, base=wanted.base, use=wanted.use,
        kit=kits.pack(wanted.stacks.values()), tags=_tags(wanted),
        images=chosen.images.model_dump(), grading=wanted.grading,
    )  # fmt: skip
    with ExitStack() as stack:
        scheduler = open_scheduler(cluster, chosen, gpus=wanted.gpus)
        stack.enter_context(scheduler)
        link = Link(scheduler, manifest, chosen.patience)
        yield stack.enter_context(DaskDesk(link))


def _tags(wanted: Wanted) -> dict[str, str]:
    """The names of the images that are needed; what cannot be told here, hosts find out."""
    if wanted.engine != "docker":
        return {}
    found = {}
    with Display() as progress:
        for (name, device), environment in wanted.stacks.items():
            with suppress(LabError):
                base = bases.identify(environment, device, mode=wanted.base, progress=progress)
                found[f"{name}-{device}"] = images.tag(environment, device, base)
    return found
