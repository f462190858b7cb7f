"""Runs tasks (a cell under a condition) on workers, group by group, on every core."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import groupby
from queue import SimpleQueue
from typing import Any

from paritylab.audit.conditions import BASELINE
from paritylab.audit.engines import open_audit_engine
from paritylab.audit.tasks import Ran, Task, ran
from paritylab.audit.there import run_there
from paritylab.engines.base import Engine, Unavailable
from paritylab.errands import Desk, Errand
from paritylab.errors import LabError
from paritylab.fleet import LocalFleet
from paritylab.model import Cell, WorkerKey
from paritylab.plan import Options
from paritylab.runner import Runner, Settings, job_of, problem_of, worker_keys
from paritylab.scenarios import Problem
from paritylab.wire import JobResult


class Workshop:
    """The engines of one audit; a context manager that closes them.

    ``jobs`` cells run at a time. Inputs and expected values are computed once per lab. ``ran_on``
    is told where the runs of a ``desk`` were made; see there.
    """

    def __init__(
        self,
        options: Options,
        *,
        jobs: int | None = None,
        desk: Desk | None = None,
        ran_on: Callable[[str, Iterable[str]], None] = lambda *_: None,
    ) -> None:
        self.options, self.desk, self._ran_on = options, desk, ran_on
        self.jobs = jobs or len(os.sched_getaffinity(0))
        self.profile = options.settings.profile
        self._engines: dict[str, Engine | Unavailable] = {}
        self._probes: dict[tuple[str, int, str], dict[str, str]] = {}
        self._probing = threading.Lock()
        self._stopping = threading.Event()

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as closing:  # one that cannot be closed leaves no other open
            for engine in self._engines.values():
                if not isinstance(engine, Unavailable):
                    closing.callback(engine.close)

    def engine(self, name: str) -> Engine | Unavailable:
        """Return an engine by name (empty: the chosen one), opened when it is first needed."""
        name = name or self.options.engine
        if name not in self._engines:
            try:
                self._engines[name] = open_audit_engine(replace(self.options, engine=name))
            except LabError as fault:
                if name == self.options.engine:
                    raise
                why = fault.why or fault.what
                self._engines[name] = Unavailable(reason=why, fix=fault.fix or "")
        return self._engines[name]

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Make what the cells need on the chosen engine; raises what its making raises."""
        if self.desk:
            return  # each host makes its own
        engine = self.engine("")
        assert not isinstance(engine, Unavailable)
        engine.prepare(worker_keys(cells, self.profile))

    @property
    def images(self) -> dict[str, str]:
        """Ids of the images that the engines have run, by environment and device."""
        found = dict(self.desk.images) if self.desk else {}
        for engine in self._engines.values():
            found |= dict(getattr(engine, "images", {}))
        return found

    def problem(self, cell: Cell) -> Problem:
        """Inputs and expected values; raises CatalogError."""
        return problem_of(cell.lab, self.settings(cell))

    def settings(self, cell: Cell) -> Settings:
        """How a cell is run and judged: by expected.json where there is one, else the oracle."""
        oracle_only = not cell.lab.expected.exists()
        return Settings(
            profile=self.profile, seed=self.options.settings.seed, oracle_only=oracle_only
        )

    def run(
        self,
        tasks: Sequence[Task],
        done: Callable[[Ran], None],
        wanted: Callable[[Task], bool] = lambda _: True,
    ) -> None:
        """Run the tasks in order, group by group; ``done`` is called from their threads.

        In a group baselines end before anything else begins, and ``wanted`` is asked then: what is
        not wanted is left out. Ctrl-C stops what runs and propagates.
        """
        for _, found in groupby(tasks, key=lambda task: task.condition.group):
            group = list(found)
            first = [task for task in group if task.condition is BASELINE]
            if first or any(map(wanted, group)):
                rest = [task for task in group if task.condition is not BASELINE]
                self._run_group(first, rest, done, wanted)

    def _run_group(
        self,
        first: list[Task],
        rest: list[Task],
        done: Callable[[Ran], None],
        wanted: Callable[[Task], bool],
    ) -> None:
        tasks = first + rest
        if self.desk:
            for some in (first, filter(wanted, rest)):
                name = self.options.engine
                run_there(
                    list(some), self.desk, self.errand, engine=name, ran_on=self._ran_on, done=done
                )
            return
        engine = self._ready(tasks)
        if isinstance(engine, Unavailable):
            for task in tasks:
                done(Ran(task=task, answer=None, why=engine.reason, fix=engine.fix, seen={}))
            return
        with self._crew(engine, tasks) as idle, ThreadPoolExecutor(self.jobs) as pool:

            def one(task: Task) -> None:
                runner = idle.get()
                try:
                    ran = self._one(task, runner)
                finally:
                    idle.put(runner)
                # What ends because all is stopped has not failed: it is to run again.
                if not self._stopping.is_set():
                    done(ran)

            try:
                list(pool.map(one, first))
                list(pool.map(one, filter(wanted, rest)))
            except BaseException:
                self._stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                engine.close()  # what runs fails at once, so that the threads end
                raise

    def _ready(self, tasks: Sequence[Task]) -> Engine | Unavailable:
        """The tasks' engine with what they need; made here, where Ctrl-C can end the making."""
        engine = self.engine(tasks[0].condition.engine or "")
        if isinstance(engine, Unavailable) or engine is self.engine(""):
            return engine  # `prepare` has made the chosen engine's
        try:
            engine.prepare(list(self._keys(tasks)))
        except LabError as fault:
            return Unavailable(reason=fault.why or fault.what, fix=fault.fix or "")
        return engine

    @contextmanager
    def _crew(self, engine: Engine, tasks: Sequence[Task]) -> Iterator[SimpleQueue[Runner]]:
        """Runners that idle, as many as run at a time, with their workers on the way."""
        cold = tasks[0].condition.workers == "each"
        settings = Settings(profile=self.profile, cold=cold)
        with LocalFleet(engine) as fleet, ExitStack() as stack:
            idle: SimpleQueue[Runner] = SimpleQueue()
            for _ in range(self.jobs):
                idle.put(stack.enter_context(Runner(engine, fleet, settings)))
            if not cold:
                fleet.prefetch(self._keys(tasks))
            yield idle

    def _keys(self, tasks: Sequence[Task]) -> Iterator[WorkerKey]:
        keys = {}
        for task in tasks:
            key = task.condition.key(task.cell, self.profile)
            keys[key.name] = key
        return iter(keys.values())

    def _one(self, task: Task, runner: Runner) -> Ran:
        try:
            errand = self.errand(task)
            if isinstance(errand, Ran):
                return errand
            seen = self._seen(task, errand.key, runner)
            answer, _ = runner.execute(errand.key, errand.job)
        except LabError as fault:
            answer, seen = fault, {}
        return ran(task, answer, seen)

    def errand(self, task: Task) -> Errand | Ran:
        """Return a task's job and worker, or why there can be none; raises LabError."""
        condition, cell = task.condition, task.condition.cell(task.cell)
        if cell.device not in cell.environment.stacks:
            why = f"{cell.environment.name} has no stack for {cell.device}"
            return Ran(task=task, answer=None, why=why, seen={})
        job = job_of(cell, self.problem(task.cell), self.settings(task.cell))
        if task.seed is not None:
            job = replace(job, seed=task.seed)
        return Errand(
            id=task.id,
            key=condition.key(task.cell, self.profile),
            job=condition.job(job, task.cell),
            cold=condition.workers == "each",
            apart=repr(condition.group) if condition.workers != "warm" else "",
        )

    def _seen(self, task: Task, key: WorkerKey, runner: Runner) -> dict[str, str]:
        """What a job sees on this worker under this condition; asked once, or by two at once."""
        place = (task.condition.id, task.condition.number, key.name)
        if task.condition.workers == "each":
            return {}
        with self._probing:
            known = self._probes.get(place)
        if known is None:
            known = self._probe(task, key, runner)
            with self._probing:
                self._probes[place] = known
        return known

    def _probe(self, task: Task, key: WorkerKey, runner: Runner) -> dict[str, str]:
        probe = task.condition.probe(task.cell, profile=self.profile)
        answer: Any = runner.execute(key, probe)[0]
        if not isinstance(answer, JobResult) or answer.status != "ok":
            return {}
        return {name: str(value) for name, value in answer.values.items()}
