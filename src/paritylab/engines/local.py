"""Workers as processes of this machine: what the venv and here engines share.

A local worker runs with the user's own rights. Its limits stop mistakes, not malice: marked
student code belongs in the docker engine.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Self

from paritylab import nvidia
from paritylab.engines.base import Channel, Endpoint
from paritylab.engines.streams import (
    BOOT,
    START_SECONDS,
    SocketChannel,
    await_ready,
    connect_unix,
    start_message,
)
from paritylab.errors import EngineError, HungUpError, WorkerError
from paritylab.gpus import Sighting
from paritylab.model import Environment, WorkerKey

_STOP_SECONDS = 15.0
_LAST_WORDS = 4000
_SOCKET_PATH_MAX = 100  # the kernel takes 107 bytes


class LocalWorker:
    """A worker process with a private folder for its socket and its jobs.

    One socket pair is its stdin (the lifetime pipe) and its stdout (the ``ready`` frame); stderr
    goes to a file without a name, read only when the start fails.
    """

    def __init__(self, key: WorkerKey, command: list[str], variables: Mapping[str, str]) -> None:
        self.key = key
        self.folder = _private_folder()
        self.jobs = self.folder / "jobs"
        self.socket = str(self.folder / "socket")
        self._ready = False
        with ExitStack() as undo:  # Ctrl-C, too, leaves nothing
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.jobs.mkdir(mode=0o700)
            self._stderr: IO[bytes] = undo.enter_context(tempfile.TemporaryFile())
            ours, theirs = socket.socketpair()
            self._lifetime = SocketChannel(ours)
            undo.callback(self._lifetime.close)
            with theirs:
                self._process = self._started(command, theirs, variables)
            undo.pop_all()  # from now on `stop` does it

    def _started(
        self, command: list[str], theirs: socket.socket, variables: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [*command, "-c", BOOT],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._stderr,
                env=dict(variables),
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        except OSError as fault:
            raise WorkerError(f"cannot be started: {fault.strerror}", where=command[0]) from fault

    def wait_ready(self) -> None:
        """Send the worker its source and wait until it listens; raises WorkerError."""
        message = start_message(self.key, socket_path=self.socket, folder=str(self.jobs), uids=0)
        deadline = time.monotonic() + START_SECONDS
        try:
            with suppress(WorkerError):  # what is gone already may have said why
                self._lifetime.write(message, deadline=deadline)
            await_ready(lambda size: self._lifetime.read(size, deadline=deadline), self.key)
            self._ready = True
        except WorkerError as fault:
            raise self._explained(fault) from fault

    def hang_up(self) -> None:
        """Tell the worker to end, without waiting; one that still imports is killed."""
        if not self._ready:
            self._process.kill()
        self._lifetime.close()  # it kills its jobs and goes

    def stop(self) -> None:
        """End the worker and all it runs; twice does no harm."""
        self.hang_up()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _explained(self, fault: WorkerError) -> WorkerError:
        """Add what the process printed last when it went without a word of its own."""
        if not isinstance(fault, HungUpError):
            return fault
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        words = ""
        with suppress(ValueError):  # another thread has stopped the worker and closed the file
            self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - _LAST_WORDS))
            words = self._stderr.read().decode("utf-8", "replace").strip()
        status = self._process.poll()
        return WorkerError(
            f"the worker ended while it started (exit status {status})",
            where=f"{self.key.environment.name}-{self.key.device}",
            why=words or "it printed nothing",
        )


class LocalEngine:
    """An Engine over local workers; what is run, and with which variables, is the subclass's."""

    name: str

    def __init__(self) -> None:
        self._workers: dict[str, LocalWorker] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, key: WorkerKey) -> list[str]:
        """Return the interpreter and its options, without ``-c``."""
        raise NotImplementedError

    def variables(self, key: WorkerKey) -> Mapping[str, str]:
        """Return the worker's whole environment."""
        raise NotImplementedError

    def gpus(self, environment: Environment) -> Sighting:  # noqa: ARG002 - the machine's own
        """See Engine."""
        return nvidia.gpus_here()

    def start(self, key: WorkerKey) -> Endpoint:
        """See Engine."""
        command, variables = self.command(key), self.variables(key)
        with self._lock:
            if self._closed:
                raise EngineError(f"the {self.name} engine is closed")
            started = LocalWorker(key, command, variables)
            self._workers[started.socket] = started
        endpoint = Endpoint(engine=self.name, name=key.name, place="", socket=started.socket)
        try:
            started.wait_ready()
        except BaseException:
            self.stop(endpoint)
            raise
        return endpoint

    def connect(self, endpoint: Endpoint) -> Channel:
        """See Engine."""
        return connect_unix(endpoint.socket)

    def stop(self, endpoint: Endpoint) -> None:
        """See Engine."""
        with self._lock:
            found = self._workers.pop(endpoint.socket, None)
        if found:
            found.stop()

    def close(self) -> None:
        """See Engine."""
        with self._lock:
            self._closed = True
            remaining = list(self._workers.values())
            self._workers.clear()
        for left in remaining:
            left.hang_up()
        for left in remaining:
            left.stop()


def _private_folder() -> Path:
    """A new folder only we can enter, with a path short enough for a socket's name."""
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - 0700, unguessable
        folder = Path(tempfile.mkdtemp(prefix="paritylab-", dir=parent))
        if len(os.fsencode(folder / "socket")) <= _SOCKET_PATH_MAX:
            return folder
        folder.rmdir()
    raise WorkerError("no temporary folder has a path short enough for a Unix socket")
