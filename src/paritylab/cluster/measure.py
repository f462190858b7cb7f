"""What one cell costs the desk, the wire, the journal and Dask's scheduler, on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from distributed import Client
from pydantic_core import to_json

from paritylab.cluster import messages
from paritylab.cluster.scale import Costs
from paritylab.errands import Errand, Report
from paritylab.journal import Journal
from paritylab.model import Cell, Comparison, Values
from paritylab.runner import Executed, Settings, concluded, job_of, problem_of
from paritylab.wire import JobResult

RECORDS = 500
START_SECONDS = 30.0


def costs(cells: Sequence[Cell], *, tasks: int, cell: float) -> tuple[Costs, dict[str, float]]:
    """Measure with the real inputs and answers of these cells; ``cell`` is what one takes.

    Also returns tasks per second of Dask with two workers, and the units a journal takes a second.
    """
    settings = Settings()
    able = [one for one in cells if not one.unsupported]
    problems = {one.lab.slug: problem_of(one.lab, settings) for one in able}
    errands = [
        Errand(
            id=one.id,
            key=one.worker_key("portable"),
            job=job_of(one, problems[one.lab.slug], settings),
        )
        for one in able
    ]
    orders = list(map(messages.pack_errand, errands))
    send = _each(lambda n: messages.pack_errand(errands[n]), len(errands))
    reports = [messages.pack_report(_report(one, problems[one.lab.slug].expected)) for one in able]

    def judged(number: int) -> Any:
        one = able[number]
        (report,) = messages.read_reports(reports[number], [one.id])
        return concluded(one, settings, problems[one.lab.slug], report.executed)

    receive = _each(judged, len(able))
    results = [to_json(asdict(judged(number)), inf_nan_mode="null") for number in range(len(able))]
    record = _record(len(results[0]))
    task, rate = _dask(tasks, sum(map(len, orders)) // len(orders))
    found = Costs(
        send=send, receive=receive, record=record, task=task, cell=cell,
        order=mean(map(len, orders)), report=mean(map(len, reports)),
        result=mean(map(len, results)),
    )  # fmt: skip
    return found, {"tasks a second": rate, "journal units a second": 1 / record}


def _report(cell: Cell, expected: Any) -> Report:
    """A report with what is right, of the size that is declared."""
    answers: Values = expected[cell.implementation]
    values: dict[str, Any] = {}
    for name, spec in cell.lab.outputs.items():
        if spec.dtype == "str":
            values[name] = answers.get(name, "measured")
        elif spec.compare is Comparison.MEASURED:
            values[name] = np.ones(spec.shape, spec.dtype)
        else:
            values[name] = np.asarray(answers[name]).astype(spec.dtype)
    answer = JobResult(status="ok", values=values, seconds=0.1, peak_memory_mb=300.0)
    executed = Executed(answer=answer, versions={"torch": "2.13.0"}, cpu="x")
    return Report(id=cell.id, executed=executed, host="tcp://10.0.0.2:1", seconds=0.1)


def _each(what: Callable[[int], Any], count: int) -> float:
    what(0)
    begun = time.process_time()
    for number in range(count):
        what(number)
    return (time.process_time() - begun) / count


def _record(size: int) -> float:
    """Seconds until a unit of this size is on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        with Journal(path, kind="scale", facts={}, resume=False) as journal:
            begun = time.monotonic()
            for number in range(RECORDS):
                journal.record(f"unit-{number}", {"text": "x" * size})
            return (time.monotonic() - begun) / RECORDS


def nothing(message: bytes) -> bytes:
    """A task as large as a cell's order that does nothing."""
    return message[:1000]


def _dask(tasks: int, size: int) -> tuple[float, float]:
    """Seconds of the scheduler's core per task, and tasks a second, with two workers."""
    with _programs() as (address, scheduler), Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=START_SECONDS)
        message = bytes(size)
        client.gather([client.submit(nothing, message, pure=False) for _ in range(100)])
        before, begun = _cpu(scheduler), time.monotonic()
        for start in range(0, tasks, 1000):
            some = range(start, min(tasks, start + 1000))
            client.gather([client.submit(nothing, message, pure=False) for _ in some])
        return (_cpu(scheduler) - before) / tasks, tasks / (time.monotonic() - begun)


@contextmanager
def _programs() -> Iterator[tuple[str, int]]:
    """A scheduler and two workers in processes of their own; its address and process id."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        common = ["--scheduler-file", str(file)]
        scheduler = [*common, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        worker = [*common, "--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
        started: list[subprocess.Popen[bytes]] = []
        try:
            for name, words in (("scheduler", scheduler), ("worker", worker), ("worker", worker)):
                command = [sys.executable, "-m", "dask", name, *words]
                quiet = subprocess.DEVNULL
                started.append(subprocess.Popen(command, stdout=quiet, stderr=quiet))
                _wait_for(file)
            yield json.loads(file.read_text("utf-8"))["address"], started[0].pid
        finally:
            for process in started:
                process.terminate()
                process.wait()


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
