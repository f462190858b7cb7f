"""What Dask's workers are given: a site for each run, gone with the run or with the worker."""

from __future__ import annotations

import asyncio
from typing import Any

from distributed import Scheduler, Worker, WorkerPlugin, get_worker
from distributed.protocol.pickle import dumps

from paritylab.cluster.site import ClosingError, Site

LEARN_SECONDS = 30.0


class UnknownRunError(Exception):
    """A Dask worker was sent a job of a run that neither it nor its scheduler was told of."""


class SitePlugin(WorkerPlugin):
    """Keeps a run's site on every Dask worker, also on those that come later.

    ``facts`` are those of a Manifest; nothing but plain data is sent. A run's facts never change,
    so to tell a scheduler again changes nothing: a site that works is not replaced.
    """

    idempotent = True

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
    site = _site(run)
    try:
        return site.perform(message)
    except ClosingError:
        raise
    except Exception as fault:
        told = f"{type(fault).__name__}: {fault}"
    # Only text travels: raised outside, for Dask would send the class and its cause as well.
    raise RuntimeError(told)


def _site(run: str) -> Site:
    worker, name = get_worker(), name_of(run)
    if name not in worker.plugins:
        loop = worker.loop.asyncio_loop
        asyncio.run_coroutine_threadsafe(_learn(worker, name), loop).result(LEARN_SECONDS)
    plugin = worker.plugins.get(name)
    if not isinstance(plugin, SitePlugin) or plugin.site is None:
        raise UnknownRunError(run)
    return plugin.site


async def _learn(worker: Worker, name: str) -> None:
    """Ask the scheduler for what this worker was told while it could not be reached."""
    question = {"function": dumps(_known), "kwargs": dumps({"name": name})}
    plugin = (await worker.scheduler.run_function(**question)).get("result")
    if plugin and name not in worker.plugins:  # another thread has asked as well
        await worker.plugin_add(plugin, name=name)


def _known(name: str, dask_scheduler: Scheduler) -> bytes | None:
    found: bytes | None = dask_scheduler.worker_plugins.get(name)
    return found
