"""A host of a cluster: a Dask worker that comes back when it dies or its scheduler goes away."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from paritylab import nvidia
from paritylab.errors import EngineError, LabError, UsageError

PAUSE_SECONDS = 1.0
STOP_SECONDS = 30.0
# To start takes one or two, five where much else runs; where no scheduler is, a worker waits.
SOON_SECONDS = 20.0
ATTEMPTS = 5
COMMAND_LINE = 2  # with which Dask's programs end for an option that they do not know


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


def variables(patience: float | None) -> dict[str, str]:
    """What a worker's environment adds: seconds until a silent connection is given up.

    Dask reads it there; no option of its worker is for it. None leaves what Dask has (30 s).
    """
    return {} if patience is None else {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": f"{patience:g}s"}


def join(
    words: Sequence[str], tell: Callable[[str], None], more: Mapping[str, str] | None = None
) -> None:
    """Run a worker's command again whenever it ends, until Ctrl-C; ``tell`` is told each end.

    ``more`` are variables of its environment, see ``variables``.

    Dask's workers end when their scheduler does: the next one finds its successor. One that fails
    as soon as it starts, ATTEMPTS times in a row, will never do better: raises UsageError where it
    does not understand its command line, else EngineError.
    """
    in_vain = 0
    while True:
        begun = time.monotonic()
        process = subprocess.Popen(words, env={**os.environ, **(more or {})})
        try:
            code = process.wait()
        finally:
            _stop(process)
        soon = time.monotonic() - begun < SOON_SECONDS
        in_vain = in_vain + 1 if soon and code > 0 else 0  # below: a signal, no fault of its start
        if in_vain == ATTEMPTS:
            raise _given_up(code)
        tell(f"the worker ended ({code}); starting it again")
        time.sleep(PAUSE_SECONDS)


def _given_up(code: int) -> LabError:
    kind = UsageError if code == COMMAND_LINE else EngineError
    return kind(
        f"the worker fails as soon as it starts, {ATTEMPTS} times in a row",
        why=f"its exit code is {code}; its own words are above",
        fix="dask worker --help tells what may follow `--`",
    )


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
