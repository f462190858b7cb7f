"""A split as the jobs of a CI system: plain JSON, a GitHub Actions matrix, a GitLab pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from paritylab import images
from paritylab.bases import Base
from paritylab.shards import Shard

GITLAB_TEMPLATE = ".labs"
"""The hidden job of the included file that says how a shard runs; see examples/ci."""


def cache_key(shard: Shard) -> str:
    """Return what a cache of the shard's images or virtual environments may be named after.

    It covers, for every environment, what its image's name covers: base, lock, recipe.
    """
    stacks = {
        (cell.environment.name, cell.device): cell.environment
        for cell in shard.cells
        if not cell.unsupported
    }
    tags = []
    for (_, device), environment in sorted(stacks.items()):
        stack = environment.stacks[device]
        base = Base(reference=stack.base, title=stack.tag)
        tags.append(images.tag(environment, device, base))
    return hashlib.sha256("\n".join(tags).encode()).hexdigest()[:16]


def jobs(shards: Sequence[Shard]) -> list[dict[str, Any]]:
    """Return one object per job, all that it needs to know and which cells it will run."""
    return [
        {
            "shard": shard.name,
            "number": shard.number,
            "of": shard.of,
            "environments": list(shard.environments),
            "seconds": shard.seconds,
            "cache": cache_key(shard),
            "split": shard.split,
            "cells": [cell.id for cell in shard.cells],
        }
        for shard in shards
    ]


def github(shards: Sequence[Shard]) -> dict[str, Any]:
    """Return what ``strategy.matrix`` takes: scalars only, and no cells, for a job finds its own.

    GitHub makes at most 256 jobs of one matrix.
    """
    return {"include": [_scalars(job) for job in jobs(shards)]}


def gitlab(shards: Sequence[Shard]) -> dict[str, Any]:
    """Return a child pipeline: one parallel job; JSON, which is YAML.

    ``parallel: matrix`` takes at most 200 jobs; its variables are strings, in capitals here.
    """
    variables = [
        {name.upper(): str(value) for name, value in _scalars(job).items()} for job in jobs(shards)
    ]
    return {"labs": {"extends": GITLAB_TEMPLATE, "parallel": {"matrix": variables}}}


def _scalars(job: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in job.items() if name not in ("cells", "split")}
    return {**kept, "environments": " ".join(job["environments"])}
