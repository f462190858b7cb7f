"""The workers of one run: started once, on demand and in parallel, shared by every process."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.managers import BaseManager
from typing import Any, Protocol, cast

from paritylab.engines.base import Endpoint, Engine, Unavailable
from paritylab.errors import EngineError, LabError, NoGpuError
from paritylab.gpupool import GpuPool
from paritylab.gpus import Sighting
from paritylab.gpushares import Share
from paritylab.stacks import Gpu, WorkerKey


class Fleet(Protocol):
    """Where a runner gets its workers from."""

    def prefetch(self, keys: Iterable[WorkerKey]) -> None:
        """Begin to start these workers, in this order; return at once."""

    def endpoint(self, key: WorkerKey) -> Endpoint | Unavailable | LabError:
        """Wait for the key's worker; an error is returned so that it can cross processes."""

    def replace(self, key: WorkerKey, broken: Endpoint) -> Endpoint | Unavailable | LabError:
        """Start a new worker for the key if ``broken`` is still its current one."""

    def lease(self, cell: str, memory_mb: int, holder: int) -> Share | LabError:
        """Wait for a share of a GPU; see GpuPool."""

    def release(self, share: Share) -> None:
        """Give a share of a GPU back."""

    def answers(self, gpu: Gpu) -> bool:
        """Look whether a GPU still answers; one that does not gets no more cells."""


def start(engine: Engine, key: WorkerKey) -> Endpoint | Unavailable | LabError:
    """Start a worker; whatever keeps it from starting is returned, not raised."""
    try:
        return engine.unavailable(key) or engine.start(key)
    except NoGpuError as fault:
        return Unavailable(reason=f"{fault.what} ({fault.why})", fix=fault.fix or "nvidia-smi")
    except LabError as fault:
        return fault
    except OSError as fault:
        return EngineError(
            f"a worker cannot be started: {fault}",
            where=f"{key.environment.name}-{key.device}",
            fix="check disk space and TMPDIR",
        )


class LocalFleet:
    """Owns the engine and what it started; a context manager.

    Starting a worker is mostly importing a framework, one core's work: as many start at a time
    as there are cores. ``gpus`` are those that the run may use.
    """

    def __init__(self, engine: Engine, gpus: GpuPool | None = None) -> None:
        self.engine = engine
        self._gpus = gpus or GpuPool((), lambda: Sighting(gpus=(), complaints=()))
        self._pool = ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0))))
        self._started: dict[str, Future[Endpoint | Unavailable | LabError]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> LocalFleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prefetch(self, keys: Iterable[WorkerKey]) -> None:
        """See Fleet."""
        for key in keys:
            self._future(key)

    def endpoint(self, key: WorkerKey) -> Endpoint | Unavailable | LabError:
        """See Fleet."""
        return self._future(key).result()

    def replace(self, key: WorkerKey, broken: Endpoint) -> Endpoint | Unavailable | LabError:
        """See Fleet."""
        with self._lock:
            current = self._started.get(key.name)
            if current and current.done() and current.result() == broken:
                del self._started[key.name]
                self.engine.stop(broken)
        return self.endpoint(key)

    def lease(self, cell: str, memory_mb: int, holder: int) -> Share | LabError:
        """See Fleet."""
        return self._gpus.lease(cell, memory_mb, holder)

    def release(self, share: Share) -> None:
        """See Fleet."""
        self._gpus.release(share)

    def answers(self, gpu: Gpu) -> bool:
        """See Fleet."""
        return self._gpus.answers(gpu)

    def close(self) -> None:
        """Stop every worker that this fleet started; the engine itself stays open.

        Starts that have not begun are dropped; one that is under way is not waited for.
        """
        self._pool.shutdown(wait=False, cancel_futures=True)
        started = list(self._started.values())
        up = [future for future in started if future.done()]
        for future in started:
            if future not in up:
                future.add_done_callback(self._stop)
        # Ending a worker is mostly waiting for it: all at once.
        with ThreadPoolExecutor(max(1, len(up))) as pool:
            list(pool.map(self._stop, up))

    def _stop(self, future: Future[Endpoint | Unavailable | LabError]) -> None:
        if future.cancelled() or future.exception():
            return
        endpoint = future.result()
        if isinstance(endpoint, Endpoint):
            with suppress(LabError):
                self.engine.stop(endpoint)

    def _future(self, key: WorkerKey) -> Future[Endpoint | Unavailable | LabError]:
        with self._lock:
            if key.name not in self._started:
                self._started[key.name] = self._pool.submit(start, self.engine, key)
            return self._started[key.name]


class _Manager(BaseManager):
    """Serves one LocalFleet to the other processes of a run."""


def serve(fleet: LocalFleet) -> dict[str, str]:
    """Serve ``fleet`` from a thread of this process; return what ``RemoteFleet`` needs."""
    key = secrets.token_hex(16)
    manager = _Manager(address=("127.0.0.1", 0), authkey=key.encode())
    manager.register("fleet", callable=lambda: fleet)
    server = manager.get_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, port = cast("tuple[str, int]", server.address)
    return {"host": host, "port": str(port), "key": key}


class RemoteFleet:
    """The fleet of the process that ``serve`` was called in."""

    def __init__(self, facts: dict[str, str]) -> None:
        class Client(BaseManager):
            pass

        Client.register("fleet")
        client = Client(address=(facts["host"], int(facts["port"])), authkey=facts["key"].encode())
        client.connect()
        self._fleet: Any = client.fleet()  # type: ignore[attr-defined]

    def prefetch(self, keys: Iterable[WorkerKey]) -> None:
        """See Fleet."""
        self._fleet.prefetch(list(keys))

    def endpoint(self, key: WorkerKey) -> Endpoint | Unavailable | LabError:
        """See Fleet."""
        return cast("Endpoint | Unavailable | LabError", self._fleet.endpoint(key))

    def replace(self, key: WorkerKey, broken: Endpoint) -> Endpoint | Unavailable | LabError:
        """See Fleet."""
        return cast("Endpoint | Unavailable | LabError", self._fleet.replace(key, broken))

    def lease(self, cell: str, memory_mb: int, holder: int) -> Share | LabError:
        """See Fleet."""
        return cast("Share | LabError", self._fleet.lease(cell, memory_mb, holder))

    def release(self, share: Share) -> None:
        """See Fleet."""
        self._fleet.release(share)

    def answers(self, gpu: Gpu) -> bool:
        """See Fleet."""
        return bool(self._fleet.answers(gpu))
