"""Variations inside containers: nothing is mounted, and they are there all the same."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.progress import Progress

from paritylab.audit import shim
from paritylab.audit.conditions import PROBE, wrapped
from paritylab.audit.engines import AuditDockerEngine
from paritylab.engines.base import Unavailable
from paritylab.errors import DockerError, WorkerError
from paritylab.model import Limits, WorkerKey
from paritylab.wire import Job, JobResult, Session

pytestmark = pytest.mark.docker
PLAIN = Job(
    id="probe", file="probe.py", source=PROBE, stages=("run",), inputs={},
    limits=Limits(seconds=60.0), seed=0, profile="native",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[AuditDockerEngine]:
    """The real engine, on the bootstrap base."""
    if isinstance(shim.library(), Unavailable):
        pytest.skip("no library that pretends")
    try:
        with AuditDockerEngine(base="bootstrap", progress=Progress(disable=True)) as opened:
            yield opened
    except DockerError as fault:
        pytest.skip(str(fault))


def seen(engine: AuditDockerEngine, key: WorkerKey, changes: dict) -> JobResult:
    """What a job tells of its machine."""
    endpoint = engine.start(key)
    try:
        with Session(engine.connect(endpoint)) as session:
            return session.run(replace(PLAIN, source=wrapped(PLAIN, changes)))
    finally:
        engine.stop(endpoint)


@pytest.mark.skipif(shim.no_cpu() is not None, reason="CPUID cannot fault here")
def test_another_cpu_host_and_date_reach_a_job_in_a_container(
    engine: AuditDockerEngine, numpy_key: WorkerKey
) -> None:
    """The library goes in by way of memory: a container has no place to execute a file from."""
    wanted = {**numpy_key.variables, shim.WANTED: "1", shim.CPU: "zen2"}
    changes = {"shim": {"host": "elsewhere", "frozen": "1700000000"}, "home": None}
    answer = seen(engine, replace(numpy_key, variables=wanted), changes)
    assert answer.status == "ok", answer
    assert answer.values["cpu"] == "AuthenticAMD 00830f10"
    assert answer.values["host"] == "elsewhere"
    assert answer.values["date"] == "2023-11-14"
    assert str(answer.values["home"]).endswith("of somebody else")


def test_what_a_container_forbids_is_told_as_such(
    engine: AuditDockerEngine, numpy_key: WorkerKey
) -> None:
    """A job may not mount: the variation is skipped with that reason, not taken for a failure."""
    answer = seen(engine, numpy_key, {"empty": ["/tmp"]})
    assert answer.error_type == "CannotVary"
    assert "no file systems of its own" in answer.message


def test_fixed_addresses_are_refused_by_the_sandbox_in_words(
    engine: AuditDockerEngine, numpy_key: WorkerKey
) -> None:
    """The engine's filter of system calls does not allow them; the worker says so."""
    wanted = {**numpy_key.variables, shim.FIXED: "1"}
    with pytest.raises(WorkerError) as told:
        seen(engine, replace(numpy_key, variables=wanted), {})
    assert "fixed addresses are not allowed here" in str(told.value)
