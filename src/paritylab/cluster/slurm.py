"""Jobs of SLURM, by dask-jobqueue; the first is submitted while a refusal can still be told."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed.core import Status
from distributed.security import Security as Tls

from paritylab.cluster.settings import Slurm


class _Job(SLURMJob):
    """Keeps why it was not submitted: Dask tells its log alone."""

    fault: Exception | None = None

    async def start(self) -> None:
        """See ProcessInterface."""
        try:
            await super().start()
        except Exception as fault:
            self.fault, self.status = fault, Status.failed


def submitted(slurm: Slurm, tls: Tls | None) -> SLURMCluster:
    """Return a cluster of the jobs that ``[slurm]`` asks for.

    Raises OSError where there is no ``sbatch``, and RuntimeError with its words where it refuses.
    """
    cluster = SLURMCluster(
        cores=slurm.cores,
        processes=1,
        memory=slurm.memory,
        walltime=slurm.walltime,
        queue=slurm.queue,
        account=slurm.account,
        interface=slurm.interface,
        python=slurm.python,
        job_cls=_Job,
        job_script_prologue=list(slurm.prologue),
        job_extra_directives=list(slurm.directives),
        worker_extra_args=["--memory-limit", "0", *slurm.arguments],
        log_directory=slurm.logs,
        local_directory=slurm.local_folder,
        security=tls,
        scheduler_options={"dashboard_address": ":0"},
        silence_logs=logging.CRITICAL,
    )
    try:
        cluster.sync(_first, cluster)
    except BaseException:
        cluster.close()
        raise
    # Keeps so many: a job that ends (its time, its node) is submitted again.
    cluster.adapt(minimum_jobs=slurm.jobs, maximum_jobs=slurm.jobs)
    return cluster


async def _first(cluster: Any) -> None:
    cluster.scale(jobs=1)
    with suppress(AssertionError):  # Dask's, of a job that has failed
        await cluster
    for job in cluster.workers.values():
        if isinstance(job.fault, RuntimeError):
            raise RuntimeError(str(job.fault).rpartition("stderr:\n")[2].strip())
        if job.fault:
            raise job.fault
