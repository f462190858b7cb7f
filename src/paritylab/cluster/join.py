"""A host of a cluster: a Dask worker that comes back when it dies or its scheduler goes away."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from paritylab import nvidia
from paritylab.errors import LabError

PAUSE_SECONDS = 1.0
STOP_SECONDS = 30.0


def command(address: str, *, threads: int | None, more: Sequence[str] = ()) -> list[str]:
    """Return the command of a Dask worker: one process, as many cells at a time as ``threads``.

    Jobs run in processes or containers of their own, so it needs no nanny and no memory limit.
    GPUs of this machine are told as the resource GPU.
    """
    words = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny"]
    words += ["--nthreads", str(threads or len(os.sched_getaffinity(0))), "--memory-limit", "0"]
    words += ["--no-dashboard"]
    gpus = _gpus()
    if gpus:
        words += ["--resources", f"GPU={gpus}"]
    return [*words, *more]


def join(words: Sequence[str], tell: Callable[[str], None]) -> None:
    """Run a worker's command again whenever it ends, until Ctrl-C; ``tell`` is told each end.

    Dask's workers end when their scheduler does: the next one finds its successor.
    """
    while True:
        process = subprocess.Popen(words)
        try:
            code = process.wait()
        finally:
            _stop(process)
        tell(f"the worker ended ({code}); starting it again")
        time.sleep(PAUSE_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()  # it ends what it runs
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _gpus() -> int:
    try:
        return len(nvidia.gpus_here().gpus)
    except LabError:
        return 0
