"""What travels between the desk and its sites: frames of plain data, checked on arrival.

An order is a job for a worker that the site is to have; a reply is what came of it. Frames are
those of the worker protocol: a JSON header and raw array bytes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import ValidationError

from paritylab import errors
from paritylab.engines.base import Unavailable
from paritylab.errands import Errand, Report
from paritylab.errors import HungUpError, LabError, WorkerError
from paritylab.frames import Frame, Status, reader
from paritylab.gpurun import Answer
from paritylab.model import Environment, Limits
from paritylab.runner import Executed
from paritylab.stacks import WorkerKey
from paritylab.wire import Job, JobResult
from paritylab.worker import MalformedError, decode_values, encode_values, pack, read_frame

PROTOCOL = 1
_ERRORS = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, LabError)
}


class _Order(Frame):
    kind: Literal["order"]
    id: str
    environment: str
    device: str
    profile: str
    preload: list[str]
    variables: dict[str, str]
    on_gpu: bool
    cold: bool
    apart: str
    name: str
    file: str
    source: str
    stages: list[str]
    seed: int
    seconds: float
    memory_mb: int
    output_mb: int
    gpu_memory_mb: int
    values: list[Any]


class _Reply(Frame):
    id: str
    host: str
    seconds: float
    image: str
    trouble: str
    elsewhere: bool
    versions: dict[str, str]
    hardware: str | None
    cpu: str


class _Result(_Reply):
    kind: Literal["result"]
    status: Status
    cause: str
    error_type: str
    message: str
    traceback: str
    inside: float
    peak_memory_mb: float | None
    stdout: str
    stderr: str
    values: list[Any]


class _None(_Reply):
    kind: Literal["unavailable"]
    reason: str
    fix: str


class _Fault(_Reply):
    kind: Literal["fault"]
    error: str
    what: str
    where: str | None
    why: str | None
    fix: str | None


_SCHEMAS: dict[str, type[Frame]] = {
    "order": _Order, "result": _Result, "unavailable": _None, "fault": _Fault,
}  # fmt: skip


def pack_errand(errand: Errand) -> bytes:
    """Return an errand's frame; raises WorkerError when its job cannot be sent."""
    key, job, limits = errand.key, errand.job, errand.job.limits
    try:
        values, payload = encode_values(job.inputs, "input")
        return pack(
            {
                **key_facts(key), "kind": "order", "id": errand.id, "on_gpu": errand.on_gpu,
                "cold": errand.cold, "apart": errand.apart, "name": job.id,
                "file": job.file, "source": job.source, "stages": list(job.stages),
                "seed": job.seed, "seconds": limits.seconds, "memory_mb": limits.memory_mb,
                "output_mb": limits.output_mb, "gpu_memory_mb": limits.gpu_memory_mb,
                "values": values,
            },
            payload,
        )  # fmt: skip
    except (MalformedError, TypeError, ValueError) as fault:
        raise WorkerError(f"{job.id} cannot be sent to a cluster: {fault}") from fault


def key_facts(key: WorkerKey) -> dict[str, Any]:
    """A worker's key as plain data, its environment by name."""
    return {
        "environment": key.environment.name, "device": key.device, "profile": key.profile,
        "preload": list(key.preload), "variables": dict(key.variables),
    }  # fmt: skip


def key_of(facts: Mapping[str, Any], environment: Callable[[str], Environment]) -> WorkerKey:
    """The key that ``key_facts`` told; ``environment`` finds one by name."""
    return WorkerKey(
        environment=environment(facts["environment"]), device=facts["device"],
        profile=facts["profile"], preload=tuple(facts["preload"]), variables=facts["variables"],
    )  # fmt: skip


def read_ids(data: bytes) -> list[str]:
    """Return the ids of a message's errands, whatever else its orders hold.

    Raises MalformedError.
    """
    return [str(header.get("id")) for header, _ in _headers(data, ("order",))]


def read_errands(data: bytes, environment: Callable[[str], Environment]) -> list[Errand]:
    """Return the errands of a message; ``environment`` finds one by name.

    Raises MalformedError.
    """
    found = []
    for header, payload in _frames(data, ("order",)):
        assert isinstance(header, _Order)
        key = key_of(header.model_dump(), environment)
        limits = Limits(
            seconds=header.seconds, memory_mb=header.memory_mb, output_mb=header.output_mb,
            gpu_memory_mb=header.gpu_memory_mb,
        )  # fmt: skip
        job = Job(
            id=header.name, file=header.file, source=header.source, stages=tuple(header.stages),
            inputs=decode_values(header.values, payload), limits=limits, seed=header.seed,
            profile=header.profile,
        )  # fmt: skip
        found.append(
            Errand(
                id=header.id, key=key, job=job, on_gpu=header.on_gpu, cold=header.cold,
                apart=header.apart,
            )
        )  # fmt: skip
    return found


def pack_report(report: Report) -> bytes:
    """Return a report's frame; an answer that cannot travel is told as a broken one."""
    try:
        return _packed(report)
    except (MalformedError, TypeError, ValueError) as fault:
        broken = JobResult(status="protocol", cause=f"its answer cannot travel: {fault}")
        executed = Executed(answer=broken, versions={})
        return _packed(replace(report, trouble=report.trouble[:1000], executed=executed))


def _packed(report: Report) -> bytes:
    executed, payload = report.executed, b""
    head: dict[str, Any] = {
        "id": report.id, "host": report.host, "seconds": report.seconds, "image": report.image,
        "trouble": report.trouble, "elsewhere": report.elsewhere,
        "versions": dict(executed.versions), "hardware": executed.hardware,
        "cpu": executed.cpu or "",
    }  # fmt: skip
    answer = executed.answer
    if isinstance(answer, JobResult):
        values, payload = encode_values(answer.values)
        head |= {
            "kind": "result", "status": answer.status, "cause": answer.cause,
            "error_type": answer.error_type, "message": answer.message,
            "traceback": answer.traceback, "inside": answer.seconds,
            "peak_memory_mb": answer.peak_memory_mb, "stdout": answer.stdout,
            "stderr": answer.stderr, "values": values,
        }  # fmt: skip
    elif isinstance(answer, Unavailable):
        head |= {"kind": "unavailable", "reason": answer.reason, "fix": answer.fix}
    else:
        head |= {
            "kind": "fault", "error": type(answer).__name__, "what": answer.what,
            "where": answer.where, "why": answer.why, "fix": answer.fix,
        }  # fmt: skip
    return pack(head, payload)


def read_reports(data: bytes, expected: Sequence[str]) -> list[Report]:
    """Return a site's reports: one for each id that is expected, in that order.

    Raises MalformedError, also for an answer to what nobody asked.
    """
    found = []
    for header, payload in _frames(data, ("result", "unavailable", "fault")):
        assert isinstance(header, _Reply)
        executed = Executed(
            answer=_answer(header, payload), versions=header.versions, hardware=header.hardware,
            cpu=header.cpu or None,
        )  # fmt: skip
        found.append(
            Report(
                id=header.id, executed=executed, host=header.host, seconds=header.seconds,
                image=header.image, trouble=header.trouble, elsewhere=header.elsewhere,
            )
        )  # fmt: skip
    if [one.id for one in found] != list(expected):
        raise MalformedError("the answers are not those to the questions")
    return found


def _answer(header: _Reply, payload: bytes) -> Answer:
    if isinstance(header, _Result):
        return JobResult(
            status=header.status, cause=header.cause, error_type=header.error_type,
            message=header.message, traceback=header.traceback, seconds=header.inside,
            values=decode_values(header.values, payload), peak_memory_mb=header.peak_memory_mb,
            stdout=header.stdout, stderr=header.stderr,
        )  # fmt: skip
    if isinstance(header, _None):
        return Unavailable(reason=header.reason, fix=header.fix)
    assert isinstance(header, _Fault)
    kind = _ERRORS.get(header.error, errors.EngineError)
    return kind(header.what, where=header.where, why=header.why, fix=header.fix)


def _frames(data: bytes, allowed: tuple[str, ...]) -> list[tuple[Frame, bytes]]:
    found: list[tuple[Frame, bytes]] = []
    for header, payload in _headers(data, allowed):
        kind = header["kind"]
        try:
            found.append((_SCHEMAS[kind].model_validate(header), payload))
        except ValidationError as fault:
            first = fault.errors()[0]
            key = ".".join(str(part)[:40] for part in first["loc"][:4])
            raise MalformedError(f"the {kind} frame's `{key}`: {first['msg'][:200]}") from None
    return found


def _headers(data: bytes, allowed: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], bytes]]:
    read, used = reader(data), 0

    def counted(size: int) -> bytes:
        nonlocal used
        used += size
        return read(size)

    while used < len(data):
        header, payload = read_frame(counted, len(data))
        kind = header.get("kind")
        if kind not in allowed:
            raise MalformedError(f"a frame of kind {kind!r:.40} where {allowed[0]} was due")
        yield header, payload


def may_do_better(answer: Answer) -> bool:
    """Whether another host may answer where this one could not."""
    # A worker that hung up was started twice already: the job brings it down.
    return not isinstance(answer, JobResult | HungUpError)
