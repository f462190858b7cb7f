"""Every program of tests/fixtures/hostile, on a local worker and in the docker sandbox."""

import os
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paritylab.engines.base import Endpoint, Engine
from paritylab.engines.here import HereEngine, local_environment
from paritylab.engines.local import LocalEngine
from paritylab.errors import WorkerError
from paritylab.model import Limits, WorkerKey
from paritylab.wire import Job, JobResult, Session, encode_job
from paritylab.worker import _descendants

HOSTILE = Path(__file__).parent.parent / "fixtures" / "hostile"
EXPECTED = tomllib.loads((HOSTILE / "expected.toml").read_text())
NAMES = sorted(EXPECTED)
INNOCENT = "def run(inputs, workdir):\n    return {'twice': inputs['x'] * 2}\n"


def job(name: str, source: str, *, memory_mb: int = 256, **more: Any) -> Job:
    """A job with small limits: by default thirty seconds and 256 MiB."""
    limits = Limits(seconds=more.pop("seconds", 30.0), memory_mb=memory_mb, output_mb=1)
    facts: dict[str, Any] = {"stages": ("run",), "inputs": {"x": np.arange(3.0)}, "seed": 0}
    return Job(
        id=name, file=f"{name}.py", source=source, profile="native", limits=limits, **facts | more
    )


@pytest.fixture(scope="module", params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, Engine, Endpoint]]:
    """A worker of NumPy alone: its kind, its engine and where it listens."""
    if request.param == "docker":
        engine = request.getfixturevalue("open_docker")()
        key = request.getfixturevalue("numpy_key")
    else:
        engine = HereEngine()
        key = WorkerKey(
            environment=local_environment(), device="cpu", profile="native", preload=(),
            variables={"OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
    with engine:
        yield request.param, engine, engine.start(key)


def attempt(engine: Engine, endpoint: Endpoint, wanted: Job) -> JobResult | WorkerError:
    """Run a job on a connection of its own."""
    try:
        with Session(engine.connect(endpoint)) as session:
            return session.run(wanted)
    except WorkerError as fault:
        return fault


@pytest.mark.parametrize("name", NAMES)
def test_clear_result_and_nothing_left(name: str, place: tuple[str, Engine, Endpoint]) -> None:
    """A hostile program gets a clear verdict in time, and leaves the worker as it found it."""
    kind, engine, endpoint = place
    expected = EXPECTED[name] | EXPECTED[name].get(kind, {})
    source = (HOSTILE / f"{name}.py").read_text()
    limits = {
        "memory_mb": expected.get("memory_mb", 256),
        "seconds": 2.0 if expected["status"] == "timeout" else 30.0,
    }
    began = time.monotonic()
    answer = attempt(engine, endpoint, job(name, source, **limits))
    assert time.monotonic() - began < 30
    if isinstance(answer, WorkerError):
        status, told = "hung up", str(answer)
    else:
        status = answer.status
        told = f"{answer.cause} {answer.error_type} {answer.message} {answer.traceback}"
    assert (status, told) == (expected["status"], told), answer
    assert expected.get("says", "") in told, answer
    innocent = attempt(engine, endpoint, job("innocent", INNOCENT))
    assert isinstance(innocent, JobResult)
    assert innocent.values["twice"].tolist() == [0.0, 2.0, 4.0]  # type: ignore[union-attr]
    _nothing_left(kind, engine, endpoint)


def _nothing_left(kind: str, engine: Any, endpoint: Endpoint) -> None:
    """No process but the worker's own, no folder of a job."""
    deadline = time.monotonic() + 10
    while left := _left(kind, engine, endpoint):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _left(kind: str, engine: Any, endpoint: Endpoint) -> list[str]:
    if kind == "local":
        assert isinstance(engine, LocalEngine)
        found = engine._workers[endpoint.socket]
        jobs = [str(path) for path in (found.folder / "jobs").iterdir()]
        return jobs + [str(pid) for pid in _descendants(found._process.pid)]
    client = engine._client()
    processes = client.api.top(endpoint.place, "-eo pid,uid,args")["Processes"]
    folders = client.containers.get(endpoint.place).exec_run(["ls", "/run/lab", "/tmp", "/dev/shm"])
    names = [n for n in folders.output.decode().split() if n[32:33] == "-" or "left" in n]
    return [" ".join(p) for p in processes if int(p[1]) >= 1000] + names


def test_output_is_kept_at_both_ends(place: tuple[str, Engine, Endpoint]) -> None:
    """Of a gigabyte printed, the beginning, the end and the count of the rest are shown."""
    _, engine, endpoint = place
    answer = attempt(engine, endpoint, job("flood", (HOSTILE / "print_a_gigabyte.py").read_text()))
    assert isinstance(answer, JobResult)
    assert answer.stdout.endswith("the last words\n")
    assert "bytes left out" in answer.stdout
    assert len(answer.stdout) < 70_000


def test_nan_and_infinity_arrive(place: tuple[str, Engine, Endpoint]) -> None:
    """NaN and infinities are values to be judged, not a broken protocol."""
    _, engine, endpoint = place
    answer = attempt(engine, endpoint, job("nan", (HOSTILE / "nan_output.py").read_text()))
    assert isinstance(answer, JobResult)
    assert np.isnan(answer.values["scalar"])  # type: ignore[arg-type]
    assert answer.values["bound"] == float("-inf")
    np.testing.assert_array_equal(answer.values["array"], [1.0, np.inf, np.nan])


def test_traceback_begins_in_the_implementation(place: tuple[str, Engine, Endpoint]) -> None:
    """A traceback shows the implementation's frames by file name, and none of ours."""
    _, engine, endpoint = place
    answer = attempt(engine, endpoint, job("raise_error", (HOSTILE / "raise_error.py").read_text()))
    assert isinstance(answer, JobResult)
    assert 'File "raise_error.py", line 9, in run' in answer.traceback
    assert "worker" not in answer.traceback
    assert os.sep + "code" not in answer.traceback


def test_hang_up_kills_the_job(place: tuple[str, Engine, Endpoint]) -> None:
    """A host that hangs up in the middle of a job leaves no job behind."""
    kind, engine, endpoint = place
    channel = engine.connect(endpoint)
    session = Session(channel)
    frame = encode_job(
        job("sleeper", (HOSTILE / "sleep_past_deadline.py").read_text(), seconds=300.0)
    )
    channel.write(frame, deadline=time.monotonic() + 5)
    time.sleep(0.5)
    session.close()
    _nothing_left(kind, engine, endpoint)


def test_stages_share_a_folder_but_no_process(place: tuple[str, Engine, Endpoint]) -> None:
    """Stages run in processes of their own, in one folder, as one user; outputs are merged."""
    _, engine, endpoint = place
    source = (
        "import os\n"
        "def save(inputs, workdir):\n"
        "    (workdir / 'kept').write_text('yes')\n"
        "    return {'first': os.getpid(), 'user': os.getuid()}\n"
        "def load(inputs, workdir):\n"
        "    return {'second': os.getpid(), 'kept': (workdir / 'kept').read_text(),\n"
        "            'same': os.stat(str(workdir / 'kept')).st_uid == os.getuid()}\n"
    )
    answer = attempt(engine, endpoint, job("stages", source, stages=("save", "load")))
    assert isinstance(answer, JobResult)
    assert answer.values["kept"] == "yes"
    assert answer.values["same"] is True
    assert answer.values["first"] != answer.values["second"]


def test_no_process_of_a_stage_lives_into_the_next(place: tuple[str, Engine, Endpoint]) -> None:
    """A daemon that a stage leaves is gone before the next stage begins."""
    _, engine, endpoint = place
    source = (
        "import os, time\n"
        "def save(inputs, workdir):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        os.setsid()\n"
        "        time.sleep(600)\n"
        "    (workdir / 'pid').write_text(str(pid))\n"
        "    return {}\n"
        "def load(inputs, workdir):\n"
        "    return {'lives': os.path.exists('/proc/' + (workdir / 'pid').read_text())}\n"
    )
    answer = attempt(engine, endpoint, job("stages", source, stages=("save", "load")))
    assert isinstance(answer, JobResult)
    assert answer.values["lives"] is False


def test_a_failing_stage_ends_the_job(place: tuple[str, Engine, Endpoint]) -> None:
    """After a stage that fails, the next one does not run."""
    _, engine, endpoint = place
    source = "def save(i, w):\n    return {}\ndef load(i, w):\n    raise KeyError('gone')\n"
    answer = attempt(engine, endpoint, job("stages", source, stages=("save", "load", "never")))
    assert isinstance(answer, JobResult)
    assert (answer.status, answer.error_type) == ("error", "KeyError")


def test_concurrent_connections(place: tuple[str, Engine, Endpoint]) -> None:
    """Several connections to one worker run their jobs at the same time."""
    _, engine, endpoint = place
    slow = "import time\ndef run(i, w):\n    time.sleep(1.0)\n    return {'at': time.time()}\n"
    sessions = [Session(engine.connect(endpoint)) for _ in range(4)]
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda s: s.run(job("slow", slow)), sessions))
    assert [answer.status for answer in answers] == ["ok"] * 4
    assert time.monotonic() - began < 3.5
    for session in sessions:
        session.close()
