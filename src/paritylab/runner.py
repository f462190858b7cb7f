"""cell -> verdict: ship the inputs, run, hold the outputs against what is expected."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from paritylab import expected, scenarios
from paritylab.engines.base import Endpoint, Engine, Unavailable
from paritylab.errors import HungUpError, LabError, WorkerError
from paritylab.fleet import Fleet, LocalFleet, start
from paritylab.gpupool import GpuPool
from paritylab.gpurun import Answer, on_some_gpu
from paritylab.gpushares import START_SECONDS
from paritylab.judge import judge
from paritylab.model import Cell, CellResult, Gpu, Lab, Verdict, WorkerKey
from paritylab.scenarios import Problem
from paritylab.turns import share_out
from paritylab.wire import Job, Session


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How cells are run and judged.

    ``seed`` None takes the lab's own, for which expected.json holds values and digests; any other
    seed is judged by the oracle alone, and so is every seed with ``oracle_only``.
    ``strict_bits`` makes a bit drift red. ``cold`` gives every cell a fresh worker (and container).
    ``smoke`` runs the packages of ``cuda`` on the CPU.
    """

    profile: str = "portable"
    seed: int | None = None
    oracle_only: bool = False
    strict_bits: bool = False
    cold: bool = False
    smoke: bool = False


@dataclass(frozen=True, kw_only=True)
class Executed:
    """What came of a job, and where.

    ``versions`` are what the worker told of its packages, ``hardware`` the class of the GPU, and
    ``cpu`` that of the CPU, if it was not this machine's.
    """

    answer: Answer
    versions: Mapping[str, str]
    hardware: str | None = None
    cpu: str | None = None


class Runner:
    """Runs cells one at a time on the workers of a fleet; one Runner per thread of control.

    Not thread-safe: each thread opens its own streams.
    """

    def __init__(self, engine: Engine, fleet: Fleet, settings: Settings) -> None:
        self.engine, self.fleet, self.settings = engine, fleet, settings
        self._sessions: dict[str, tuple[Endpoint, Session]] = {}

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on every worker; the next cell would call again."""
        for name in list(self._sessions):
            self._hang_up(name)

    def run(self, cell: Cell) -> CellResult:
        """Return the cell's verdict with its evidence; never raises for what a lab does."""
        if cell.unsupported:
            return left_out(cell, self.settings, cell.unsupported)
        try:
            problem = problem_of(cell.lab, self.settings)
        except LabError as fault:
            return failed(cell, self.settings, fault)
        key, job = cell.worker_key(self.settings.profile), job_of(cell, problem, self.settings)
        on_gpu = wants_gpu(cell, self.settings)
        return concluded(cell, self.settings, problem, self.place(key, job, on_gpu=on_gpu))

    def timed(self, cell: Cell) -> CellResult:
        """``run`` with its wall time as ``seconds``; the import of a warm worker is none of it."""
        warm = not (cell.unsupported or self.settings.cold or wants_gpu(cell, self.settings))
        if warm and (key := cell.worker_key(self.settings.profile)).name not in self._sessions:
            self.fleet.endpoint(key)  # the run tells an error
        begun = time.monotonic()
        return replace(self.run(cell), seconds=round(time.monotonic() - begun, 4))

    def place(self, key: WorkerKey, job: Job, *, on_gpu: bool) -> Executed:
        """Run a job on the key's worker, within a share of a GPU if it needs one."""
        if not on_gpu:
            answer, versions = self.execute(key, job)
            return Executed(answer=answer, versions=versions)
        told: dict[str, str] = {}

        def on(gpu: Gpu) -> Answer:
            limits = replace(job.limits, seconds=job.limits.seconds + START_SECONDS)
            answer, versions = self.execute(key.on(gpu), replace(job, on_gpu=True, limits=limits))
            told.update(versions, gpu=gpu.name, driver=gpu.driver)
            return answer

        answer, gpu = on_some_gpu(self.fleet, job, on)
        return Executed(answer=answer, versions=told, hardware=gpu.hardware if gpu else None)

    def execute(self, key: WorkerKey, job: Job) -> tuple[Answer, dict[str, str]]:
        """Run a job on the key's worker; return what came of it and the worker's versions."""
        if self.settings.cold:
            return self._execute_cold(key, job)
        answer = self._execute_warm(key, job)
        if isinstance(answer[0], HungUpError):
            # The worker may have died of something else than this cell: once more, on a new one.
            answer = self._execute_warm(key, job)
        return answer

    def _execute_warm(self, key: WorkerKey, job: Job) -> tuple[Answer, dict[str, str]]:
        try:
            session = self._session(key)
            if isinstance(session, Unavailable):
                return session, {}
            return session.run(job), dict(session.hello.versions)
        except LabError as fault:
            # The stream is of no more use; the next cell opens a new one.
            self._hang_up(key.name)
            return fault, {}

    def _execute_cold(self, key: WorkerKey, job: Job) -> tuple[Answer, dict[str, str]]:
        endpoint = start(self.engine, replace(key, jobs=1))
        if not isinstance(endpoint, Endpoint):
            return endpoint, {}
        try:
            try:
                with Session(self.engine.connect(endpoint)) as session:
                    return session.run(job), dict(session.hello.versions)
            finally:
                self.engine.stop(endpoint)
        except LabError as fault:
            return fault, {}

    def _session(self, key: WorkerKey) -> Session | Unavailable:
        if key.name in self._sessions:
            return self._sessions[key.name][1]
        endpoint = _raised(self.fleet.endpoint(key))
        if isinstance(endpoint, Unavailable):
            return endpoint
        try:
            session = Session(self.engine.connect(endpoint))
        except WorkerError:
            # The worker itself is gone (killed from outside, out of memory): once more, anew.
            endpoint = _raised(self.fleet.replace(key, endpoint))
            if isinstance(endpoint, Unavailable):
                return endpoint
            session = Session(self.engine.connect(endpoint))
        self._sessions[key.name] = (endpoint, session)
        return session

    def _hang_up(self, name: str) -> None:
        with suppress(LabError, OSError, KeyError):
            self._sessions.pop(name)[1].close()


def wants_gpu(cell: Cell, settings: Settings) -> bool:
    """Whether a cell runs on a GPU."""
    return cell.device != "cpu" and not settings.smoke


def left_out(cell: Cell, settings: Settings, why: str) -> CellResult:
    """The result of a cell that cannot run here."""
    return CellResult(
        cell=cell.id,
        lab=cell.lab.slug,
        implementation=cell.implementation,
        environment=cell.environment.name,
        device=cell.device,
        profile=settings.profile,
        seed=cell.lab.seed if settings.seed is None else settings.seed,
        verdict=Verdict.UNSUPPORTED,
        message=why,
    )


def failed(cell: Cell, settings: Settings, fault: LabError) -> CellResult:
    """The result of a cell that got no answer."""
    return replace(left_out(cell, settings, str(fault)), verdict=Verdict.FAILED)


def concluded(cell: Cell, settings: Settings, problem: Problem, executed: Executed) -> CellResult:
    """Return the verdict on what came of a cell's job; pure."""
    answer = executed.answer
    if isinstance(answer, Unavailable):
        return left_out(cell, settings, f"{answer.reason}; {answer.fix}")
    if isinstance(answer, LabError):
        return failed(cell, settings, answer)
    blank = left_out(cell, settings, "")
    return judge(
        replace(blank, versions=dict(executed.versions), hardware=executed.hardware),
        cell,
        answer,
        problem=problem,
        strict_bits=settings.strict_bits,
        cpu=executed.cpu,
    )


def _raised(answer: Endpoint | Unavailable | LabError) -> Endpoint | Unavailable:
    if isinstance(answer, LabError):
        raise answer
    return answer


PROBLEMS: dict[tuple[str, int | None, bool], Problem] = {}  # what this process has solved
_problems_lock = threading.Lock()


def problem_of(lab: Lab, settings: Settings) -> Problem:
    """Inputs and expected values of a lab, computed once per process.

    Raises CatalogError when scenario.py, its data or expected.json is at fault.
    """
    key = (str(lab.folder), settings.seed, settings.oracle_only)
    with _problems_lock:
        if key not in PROBLEMS:
            solved = scenarios.solve(lab, lab.seed if settings.seed is None else settings.seed)
            by_oracle = settings.oracle_only or settings.seed is not None
            PROBLEMS[key] = solved if by_oracle else expected.recorded(lab, solved)
        return PROBLEMS[key]


def job_of(cell: Cell, problem: Problem, settings: Settings) -> Job:
    """A supported cell's work, as a worker is sent it."""
    source = cell.lab.implementations[cell.implementation].source
    if source is None:  # pragma: no cover - such a cell is unsupported and never gets here
        raise WorkerError(f"{cell.id} has no source")
    return Job(
        id=cell.id,
        file=source.name,
        source=source.read_text(encoding="utf-8"),
        stages=cell.lab.stages,
        inputs=problem.inputs,
        limits=cell.lab.limits,
        seed=cell.lab.seed if settings.seed is None else settings.seed,
        profile=settings.profile,
    )


def run_all(  # noqa: PLR0913 - what, where, how, how many, and whom to tell
    cells: Iterable[Cell],
    engine: Engine,
    settings: Settings,
    *,
    jobs: int,
    done: Callable[[CellResult], None] = lambda _: None,
    fleet: Fleet | None = None,
    gpus: GpuPool | None = None,
) -> list[CellResult]:
    """Run cells on ``jobs`` threads of this process and return results in the cells' order.

    ``done`` is called after each cell, from its thread. Workers are those of ``fleet``, or of one
    that is stopped at the end. Ctrl-C stops what runs, of which ``done`` hears nothing, and
    propagates.
    """
    over = threading.Event()
    ordered = list(cells)
    found: list[CellResult] = [None] * len(ordered)  # type: ignore[list-item]
    with ExitStack() as stack:
        fleet = fleet or stack.enter_context(LocalFleet(engine, gpus))
        runners = [stack.enter_context(Runner(engine, fleet, settings)) for _ in range(jobs)]
        if not settings.cold:
            fleet.prefetch(worker_keys(ordered, settings.profile, gpus))

        def one(runner: Runner, place: int) -> None:
            found[place] = runner.timed(ordered[place])
            if not over.is_set():
                done(found[place])

        def stop() -> None:
            over.set()
            engine.close()  # what runs fails at once, so that the threads end

        share_out(len(ordered), runners, one, stop=stop)
    return found


def worker_keys(
    cells: Iterable[Cell], profile: str, gpus: GpuPool | None = None
) -> list[WorkerKey]:
    """The workers that these cells need, each once (for each GPU), in the order of first need."""
    places = gpus.gpus if gpus else (None,)
    keys = [c.worker_key(profile, gpu) for c in cells if not c.unsupported for gpu in places]
    jobs = Counter(key.name for key in keys)
    return list({key.name: replace(key, jobs=jobs[key.name]) for key in keys}.values())
