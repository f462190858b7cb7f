"""An engine of a host and its warm workers, for the jobs that come by."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from queue import Empty, SimpleQueue

from paritylab.audit.engines import AuditDockerEngine, open_audit_engine
from paritylab.cluster import kits, messages
from paritylab.cluster.imagesource import image_source
from paritylab.cluster.manifest import Manifest
from paritylab.engines.base import Engine
from paritylab.engines.docker import DockerEngine
from paritylab.errands import Errand, Report
from paritylab.errors import EngineError, LabError
from paritylab.fleet import LocalFleet
from paritylab.gpupool import GpuPool
from paritylab.hardware import cpu_class
from paritylab.model import Environment
from paritylab.plan import Options, open_engine
from paritylab.progress import Display
from paritylab.runner import Executed, Runner, Settings
from paritylab.stacks import WorkerKey


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


class Shop:
    """An engine and its warm workers: at most ``most`` keys are kept, the last used ones."""

    def __init__(self, manifest: Manifest, *, host: str, most: int) -> None:
        self._host, self._most = host, most
        self._folder = kits.unpack(manifest.kit)
        self.engine = _engine(manifest)
        self._environments: dict[str, Environment] = {}
        self._benches: dict[tuple[str, str, bool], _Bench] = {}  # the last used ones last
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

    def serve(self, errands: Sequence[Errand]) -> Iterator[Report]:
        """Run errands one after another."""
        return map(self._run, errands)

    def _run(self, errand: Errand) -> Report:
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
        with self._bench(errand) as bench, bench.runner() as runner:
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
    def _bench(self, errand: Errand) -> Iterator[_Bench]:
        name = (errand.key.name, errand.apart, errand.cold)
        with self._lock:
            bench = self._benches.pop(name, None)
            bench = bench or _Bench(self.engine, self._gpus, Settings(cold=errand.cold))
            self._benches[name] = bench
            bench.users += 1
            unused = [which for which, one in self._benches.items() if not one.users]
            spare = unused[: max(0, len(self._benches) - self._most)]
            leaving = [self._benches.pop(which) for which in spare]
        for one in leaving:
            one.close()
        try:
            yield bench
        finally:
            with self._lock:
                bench.users -= 1

    def close(self) -> None:
        """End every worker; what runs fails at once."""
        with self._lock:
            benches, self._benches = list(self._benches.values()), {}
        self.engine.close()
        for bench in benches:
            bench.close()


def _engine(manifest: Manifest) -> Engine:
    options = Options(engine=manifest.engine, base=manifest.base)
    if manifest.engine != "docker":
        return (open_audit_engine if manifest.use == "audit" else open_engine)(options)
    source = image_source(manifest.tags, manifest.images, base=manifest.base)
    kind = AuditDockerEngine if manifest.use == "audit" else DockerEngine
    return kind(manifest.base, Display(), image=source)
