"""A cell on whichever GPU has room; it moves on when that one is lost under it."""

from __future__ import annotations

import os
from collections.abc import Callable

from paritylab.engines.base import Unavailable
from paritylab.errors import LabError
from paritylab.fleet import Fleet
from paritylab.model import Gpu
from paritylab.wire import Job, JobResult

Answer = JobResult | Unavailable | LabError


def on_some_gpu(fleet: Fleet, job: Job, run: Callable[[Gpu], Answer]) -> tuple[Answer, Gpu | None]:
    """Run a job within a share of a GPU; return the answer and the GPU that gave it.

    A failure on a GPU that no longer answers is not the job's: it runs again on another one,
    until none is left (then the answer is an error that names the lost ones).
    """
    lost: list[str] = []
    while True:
        share = fleet.lease(job.id, job.limits.gpu_memory_mb, os.getpid())
        if isinstance(share, LabError):
            share.why = "; ".join(filter(None, [share.why, *lost]))
            return share, None
        try:
            answer = run(share.gpu)
        finally:
            fleet.release(share)
        ran = isinstance(answer, Unavailable) or getattr(answer, "status", "") == "ok"
        if ran or fleet.answers(share.gpu):
            return answer, share.gpu
        lost.append(f"GPU {share.gpu.index} was lost while {job.id} ran on it")
