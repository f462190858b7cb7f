"""A host's end: runs the jobs that the desk sends, on warm workers of an engine of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from queue import Empty, SimpleQueue

from paritylab.audit.engines import AuditDockerEngine, open_audit_engine
from paritylab.cluster import kits, messages
from paritylab.cluster.imagesource import image_source
from paritylab.engines.base import Engine
from paritylab.engines.docker import DockerEngine
from paritylab.errands import Errand, Report
from paritylab.errors import EngineError, LabError, WorkerError
from paritylab.fleet import LocalFleet
from paritylab.gpupool import GpuPool
from paritylab.hardware import cpu_class
from paritylab.model import Environment
from paritylab.plan import Options, open_engine
from paritylab.progress import Display
from paritylab.runner import Executed, Runner, Settings
from paritylab.stacks import WorkerKey

IDLE_SECONDS = 120.0
"""After so long without a job a site stops its workers; the next job starts new ones."""


class ClosingError(Exception):
    """A site was asked while it ends, or ended while it was asked: another one is to be."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What every site of a run is told; plain data.

    ``use`` is ``cells`` or ``audit`` (its engines can make an audit's variations); ``kit`` holds
    the project's files, see ``kits``; ``tags`` names the images
    that environments need (``tf2-cpu``), ``images`` says where they are (settings.Images).
    """

    run: str
    engine: str
    base: str
    cold: bool
    kit: Mapping[str, str]
    use: str = "cells"
    tags: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str | None] = field(default_factory=dict)
    idle: float = IDLE_SECONDS
    protocol: int = messages.PROTOCOL
    version: str = version("paritylab")

    def check(self) -> None:
        """Raise WorkerError on a host whose paritylab is another one."""
        mine = version("paritylab")
        if (self.version, self.protocol) != (mine, messages.PROTOCOL):
            raise WorkerError(
                f"this host has paritylab {mine}, the run is of {self.version}",
                fix=f"pip install 'paritylab[cluster]=={self.version}' on every host",
            )


class Site:
    """What one process of a cluster has of one run; thread-safe.

    ``host`` is its name in reports, ``threads`` how many jobs it is given at a time.
    """

    def __init__(self, manifest: Manifest, *, host: str, threads: int) -> None:
        self.manifest, self.host = manifest, host
        self._most = threads + 1
        self._lock = threading.Lock()
        self._shop: _Shop | None = None
        self._busy = 0
        self._timer: threading.Timer | None = None
        self._closed = False

    def perform(self, message: bytes) -> bytes:
        """Run a message's errands one after another; return their reports.

        Raises MalformedError for what is no such message and ClosingError when all is stopped.
        """
        ids = messages.read_ids(message)
        try:
            self.manifest.check()
            with self._at_work() as shop:
                errands = messages.read_errands(message, shop.environment)
                return b"".join(self._told(shop.run(errand)) for errand in errands)
        except (LabError, OSError) as fault:  # a matter of this host, whatever the errand
            answer = fault if isinstance(fault, LabError) else EngineError(str(fault))
            executed = Executed(answer=answer, versions={})
            reports = (
                Report(id=one, executed=executed, host=self.host, seconds=0.0, elsewhere=True)
                for one in ids
            )
            return b"".join(map(messages.pack_report, reports))

    def _told(self, report: Report) -> bytes:
        if self._closed:  # what ends because all is stopped has not failed
            raise ClosingError(self.host)
        return messages.pack_report(report)

    def close(self) -> None:
        """Stop every worker; whatever runs fails at once."""
        with self._lock:
            self._closed = True
            shop, self._shop = self._shop, None
            if self._timer:
                self._timer.cancel()
        if shop:
            shop.close()

    @contextmanager
    def _at_work(self) -> Iterator[_Shop]:
        with self._lock:
            if self._closed:
                raise ClosingError(self.host)
            self._busy += 1
            if self._timer:
                self._timer.cancel()
            if self._shop is None:
                self._shop = _Shop(self.manifest, host=self.host, most=self._most)
            shop = self._shop
        try:
            yield shop
        finally:
            with self._lock:
                self._busy -= 1
                if not self._busy and not self._closed:
                    # A client that was killed says no goodbye.
                    self._timer = threading.Timer(self.manifest.idle, self._rest)
                    self._timer.daemon = True
                    self._timer.start()

    def _rest(self) -> None:
        with self._lock:
            if self._busy:
                return
            shop, self._shop = self._shop, None
        if shop:
            shop.close()


class _Bench:
    """The worker of one key, and runners that speak to it."""

    def __init__(self, engine: Engine, gpus: GpuPool | None, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._idle: SimpleQueue[Runner] = SimpleQueue()
        self._opened = ExitStack()
        self.fleet = self._opened.enter_context(LocalFleet(engine, gpus))
        self.users = 0

    @contextmanager
    def runner(self) -> Iterator[Runner]:
        try:
            runner = self._idle.get_nowait()
        except Empty:
            runner = Runner(self._engine, self.fleet, self._settings)
            self._opened.callback(runner.__exit__)
        yield runner
        self._idle.put(runner)

    def close(self) -> None:
        self._opened.close()


class _Shop:
    """An engine and its warm workers: at most ``most`` keys are kept, the last used ones."""

    def __init__(self, manifest: Manifest, *, host: str, most: int) -> None:
        self._host, self._most = host, most
        self._folder = kits.unpack(manifest.kit)
        self.engine = _engine(manifest)
        self._settings = Settings(cold=manifest.cold)
        self._environments: dict[str, Environment] = {}
        self._benches: dict[str, _Bench] = {}  # the last used ones last
        self._gpus: GpuPool | None = None
        self._prepared: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._preparing = threading.Lock()

    def environment(self, name: str) -> Environment:
        """An environment of the run's project, read once."""
        with self._lock:
            if name not in self._environments:
                self._environments[name] = kits.environment(self._folder, name)
            return self._environments[name]

    def run(self, errand: Errand) -> Report:
        """Run one errand; what this host cannot do is told in its report."""
        begun = time.monotonic()
        try:
            executed = self._executed(errand)
        except LabError as fault:
            executed = Executed(answer=fault, versions={})
        except OSError as fault:
            executed = Executed(answer=EngineError(f"{self._host}: {fault}"), versions={})
        place = f"{errand.key.environment.name}-{errand.key.device}"
        return Report(
            id=errand.id,
            executed=Executed(
                answer=executed.answer, versions=executed.versions, hardware=executed.hardware,
                cpu=cpu_class(),
            ),
            host=self._host,
            seconds=round(time.monotonic() - begun, 4),
            image=getattr(self.engine, "images", {}).get(place, ""),
            elsewhere=messages.may_do_better(executed.answer),
        )  # fmt: skip

    def _executed(self, errand: Errand) -> Executed:
        missing = self.engine.unavailable(errand.key)
        if missing:
            return Executed(answer=missing, versions={})
        self._prepare(errand.key, on_gpu=errand.on_gpu)
        with self._bench(errand.key) as bench, bench.runner() as runner:
            return runner.place(errand.key, errand.job, on_gpu=errand.on_gpu)

    def _prepare(self, key: WorkerKey, *, on_gpu: bool) -> None:
        with self._preparing:
            if on_gpu and self._gpus is None:
                environment = key.environment
                look = self.engine.gpus
                self._gpus = GpuPool(look(environment).gpus, lambda: look(environment))
            if (key.environment.name, key.device) not in self._prepared:
                self.engine.prepare([key])
                self._prepared.add((key.environment.name, key.device))

    @contextmanager
    def _bench(self, key: WorkerKey) -> Iterator[_Bench]:
        with self._lock:
            bench = self._benches.pop(key.name, None)
            bench = bench or _Bench(self.engine, self._gpus, self._settings)
            self._benches[key.name] = bench
            bench.users += 1
            unused = [name for name, one in self._benches.items() if not one.users]
            spare = unused[: max(0, len(self._benches) - self._most)]
            leaving = [self._benches.pop(name) for name in spare]
        for one in leaving:
            one.close()
        try:
            yield bench
        finally:
            with self._lock:
                bench.users -= 1

    def close(self) -> None:
        with self._lock:
            benches, self._benches = list(self._benches.values()), {}
        self.engine.close()  # what runs fails at once
        for bench in benches:
            bench.close()


def _engine(manifest: Manifest) -> Engine:
    options = Options(engine=manifest.engine, base=manifest.base)
    if manifest.engine != "docker":
        return (open_audit_engine if manifest.use == "audit" else open_engine)(options)
    source = image_source(manifest.tags, manifest.images, base=manifest.base)
    kind = AuditDockerEngine if manifest.use == "audit" else DockerEngine
    return kind(manifest.base, Display(), image=source)
