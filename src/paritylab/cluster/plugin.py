"""What Dask's workers are given: a site for each run, gone with the run or with the worker."""

from __future__ import annotations

import asyncio
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from paritylab.cluster.site import ClosingError, Site


class UnknownRunError(Exception):
    """A Dask worker was sent a job of a run that it was told nothing of."""


class SitePlugin(WorkerPlugin):
    """Keeps a run's site on every Dask worker, also on those that come later.

    ``facts`` are those of a Manifest; nothing but plain data is sent.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.name = name_of(facts["run"])
        self.site: Site | None = None

    def setup(self, worker: Worker) -> None:
        """See WorkerPlugin; starts nothing yet."""
        threads = worker.state.nthreads
        self.site = Site(self.facts, host=worker.address, threads=threads)

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's signature
        """See WorkerPlugin: ends what the run has started on this worker."""
        if self.site:
            await asyncio.to_thread(self.site.close)


def name_of(run: str) -> str:
    """The plugin's name for a run."""
    return f"paritylab-{run}"


def perform(run: str, message: bytes) -> bytes:
    """The task: hand a message to the run's site on this Dask worker."""
    plugin = get_worker().plugins.get(name_of(run))
    if not isinstance(plugin, SitePlugin) or plugin.site is None:
        raise UnknownRunError(run)
    try:
        return plugin.site.perform(message)
    except ClosingError:
        raise
    except Exception as fault:
        # Only text travels: whoever reads it need not have the class.
        raise RuntimeError(f"{type(fault).__name__}: {fault}") from None
