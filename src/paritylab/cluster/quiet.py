"""Loaded by the workers of ``local:N``: Ctrl-C is their desk's business.

It reaches every process of a terminal; they are to end what they run first, when they are told.
"""

from __future__ import annotations

import signal

from distributed import Worker


def dask_setup(worker: Worker) -> None:  # noqa: ARG001 - Dask's signature
    """Called by Dask in a worker's main thread before it starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
