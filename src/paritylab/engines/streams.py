"""Byte streams with deadlines over sockets, and how a worker is started over one."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from paritylab import cage, warmup, worker
from paritylab.errors import HungUpError, WorkerError
from paritylab.frames import Hello
from paritylab.model import WorkerKey
from paritylab.wire import read_hello

# What `python -c` runs: the source of worker.py comes first on stdin; its main() reads on from the
# same buffered file.
BOOT = """\
import os, sys
stdin = open(0, "rb", closefd=False)
size = int.from_bytes(stdin.read(4), "big")
source = stdin.read(size)
if not source or len(source) < size:
    os._exit(0)
module = type(sys)("paritylab_worker")
sys.modules[module.__name__] = module
exec(compile(source, "<paritylab worker>", "exec"), module.__dict__)
module.main(stdin)
"""
START_SECONDS = 300.0
_MANY = 50  # jobs that repay what a lasting worker does first: see warmup.gather_pages
_CONNECT_SECONDS = 30.0
_CHUNK = 1 << 20


class SocketChannel:
    """A Channel (see engines.base) over a connected stream socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def write(self, data: bytes, *, deadline: float) -> None:
        """See Channel."""
        view = memoryview(data)
        try:
            while view:
                self._arm(deadline)
                view = view[self._sock.send(view[:_CHUNK]) :]
        except TimeoutError:
            raise
        except OSError as fault:
            raise HungUpError("the worker hung up while it was sent something") from fault

    def read(self, size: int, *, deadline: float) -> bytes:
        """See Channel."""
        data = bytearray()
        while len(data) < size:
            part = self._some(min(size - len(data), _CHUNK), deadline)
            if not part:
                raise HungUpError(
                    "the worker hung up",
                    why="it was killed, ran out of memory, or the implementation killed it",
                )
            data += part
        return bytes(data)

    def close(self) -> None:
        """See Channel; closing twice does no harm."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        finally:
            self._sock.close()

    def _some(self, size: int, deadline: float) -> bytes:
        """Return at least one byte, or none at the end of the stream."""
        try:
            self._arm(deadline)
            return self._sock.recv(size)
        except TimeoutError:
            raise
        except OSError:
            return b""

    def _arm(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        self._sock.settimeout(left)


def connect_unix(path: str) -> SocketChannel:
    """Connect to a worker's Unix socket; raises WorkerError when nobody listens there."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(_CONNECT_SECONDS)  # a stopped worker's queue may be full
    try:
        sock.connect(path)
    except OSError as fault:
        sock.close()
        raise WorkerError(f"no worker answers ({fault.strerror or fault})", where=path) from fault
    return SocketChannel(sock)


def start_message(
    key: WorkerKey, *, socket_path: str, folder: str, uids: int, caged: str = ""
) -> bytes:
    """What ``python -c BOOT`` reads from stdin: the worker's source and its task.

    ``folder`` is where it makes the jobs' folders; ``uids`` (this worker's number in its
    container, from 1) gives every job a uid of its own, for which the worker must be root;
    ``caged`` is a size of paritylab.cage, or empty.
    """
    source = Path(worker.__file__).read_bytes()
    start = {
        "kind": "start", "socket": socket_path, "folder": folder, "preload": list(key.preload),
        "profile": key.profile, "device": "cuda" if key.gpu else "cpu", "uids": uids,
        "warmup": "" if key.jobs == 1 else Path(warmup.__file__).read_text("utf-8"), "cage": caged,
        # A worker that is caged so serves one submission, whose jobs are few as a rule.
        "lasting": (key.jobs or _MANY) >= _MANY and caged != "filter",
    }  # fmt: skip
    bars = Path(cage.__file__).read_bytes() if caged else b""
    return len(source).to_bytes(4, "big") + source + worker.pack(start, bars)


def await_ready(read: Callable[[int], bytes], key: WorkerKey) -> Hello:
    """Wait for a started worker's ``ready``; raises WorkerError with its last words."""
    try:
        return read_hello(read, "ready")
    except TimeoutError as fault:
        raise WorkerError(
            f"the worker {key.name} was not ready within {START_SECONDS:g} s",
            why=f"importing {', '.join(key.preload) or 'nothing'} takes seconds as a rule",
        ) from fault
    except WorkerError as fault:
        fault.where = fault.where or f"{key.environment.name}-{key.device}"
        raise
