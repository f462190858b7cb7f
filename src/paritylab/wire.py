"""The host's end of a worker's stream: typed jobs out, distrusted results in.

A worker runs code that may be wrong or hostile, so nothing it sends is believed: lengths are
checked before they are allocated, headers against strict schemas, and every violation is a
WorkerError with a sentence (or, where only one job's answer is broken, that job's result).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from paritylab import stillness
from paritylab.engines.base import Channel
from paritylab.errors import WorkerError
from paritylab.frames import (
    Failed,
    Failure,
    Hello,
    Outputs,
    Refused,
    Result,
    Status,
    reader,
    receive,
    shown,
)
from paritylab.gpushares import CONTEXT_MB
from paritylab.model import Limits, Value, Values
from paritylab.worker import (
    CAPTURE_CAP,
    HEADER_CAP,
    PAYLOAD_CAP,
    PROTOCOL,
    VALUES_CAP,
    MalformedError,
    decode_values,
    encode_values,
    pack,
)

GREETING_SECONDS = 30.0
# Beyond a job's own deadline: to kill it, remove what it left, and send a large result.
GRACE_SECONDS = 60.0
FILE_MB = 256  # the largest file that a job may write
_STAGE_SLACK = HEADER_CAP + 64  # what a stage's frame may add to its arrays
# What a worker keeps of its texts: more is forged, and could not be sent on from a cluster's host.
_TYPE, _MESSAGE, _TRACEBACK, _PRINTED = 200, 4000, 16_000, 2 * CAPTURE_CAP + 100


@dataclass(frozen=True, kw_only=True)
class Job:
    """One cell's work: an implementation's source, the stages to call, and their inputs.

    ``file`` names the implementation (``tf1.py``), ``profile`` the determinism profile, which is
    the worker's own; ``limits.seconds`` covers all stages together. ``on_gpu`` makes a GPU its
    device, of which it has ``limits.gpu_memory_mb``.
    """

    id: str
    file: str
    source: str
    stages: tuple[str, ...]
    inputs: Values
    limits: Limits
    seed: int
    profile: str
    on_gpu: bool = False


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What became of a job.

    ``status`` is ``ok`` (``values`` holds the outputs of all stages), ``error`` (an exception in
    ``error_type``, ``message`` and ``traceback``, else ``cause`` says how the process ended),
    ``timeout``, ``killed`` (memory or a signal, in ``cause``) or ``protocol`` (its answer was
    broken). ``seconds`` were spent inside the stages.
    """

    status: Status
    cause: str = ""
    error_type: str = ""
    message: str = ""
    traceback: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_mb: float | None = None
    stdout: str = ""
    stderr: str = ""


def encode_job(job: Job) -> bytes:
    """Return the frame of a job; raises WorkerError when it is too large to be sent."""
    try:
        descriptors, payload = encode_values(job.inputs, "input")
        if len(payload) > PAYLOAD_CAP:  # the worker would hang up in the middle of it
            raise MalformedError(f"{len(payload)} bytes of arrays; {PAYLOAD_CAP} are allowed")
        return pack(
            {
                "kind": "job", "id": job.id, "file": job.file, "source": job.source,
                "stages": list(job.stages), "seed": job.seed, "profile": job.profile,
                "seconds": job.limits.seconds, "memory_mb": job.limits.memory_mb,
                "output_mb": job.limits.output_mb, "file_mb": FILE_MB, "values": descriptors,
                "still": Path(stillness.__file__).read_text("utf-8"),
                "gpu_mb": max(0, job.limits.gpu_memory_mb - CONTEXT_MB) if job.on_gpu else 0,
            },
            payload,
        )  # fmt: skip
    except (MalformedError, TypeError, ValueError) as fault:
        raise WorkerError(
            f"{job.id} cannot be sent to a worker: {fault}",
            fix="make the scenario's inputs smaller or of an allowed type",
        ) from fault


def decode_result(job: Job, read: Callable[[int], bytes]) -> JobResult:
    """Read the answer to ``job``; raises WorkerError when the stream is of no more use.

    A broken answer of a stage is the job's fault and comes back as status ``protocol``.
    """
    cap = len(job.stages) * ((job.limits.output_mb << 20) + _STAGE_SLACK)
    try:
        header, payload = receive(read, ("result", "refused"), cap)
    except MalformedError as fault:
        raise WorkerError(f"the worker's answer to {job.id} is broken: {fault}") from fault
    if isinstance(header, Refused):
        raise WorkerError(f"the worker refused {job.id}: {shown(header.why)[:_MESSAGE]}")
    assert isinstance(header, Result)
    if header.id != job.id:
        raise WorkerError(f"the worker answered {shown(header.id)[:100]!r}, not {job.id!r}")
    return _result(job, header, payload)


def _result(job: Job, header: Result, payload: bytes) -> JobResult:
    values: dict[str, Value] = {}
    micros, error = 0, None
    facts: dict[str, Any] = {
        "status": header.status,
        "cause": shown(header.cause)[:_MESSAGE],
        "peak_memory_mb": header.peak_kb / 1024,
        "stdout": shown(header.stdout)[:_PRINTED],
        "stderr": shown(header.stderr)[:_PRINTED],
    }
    try:
        for frame, data in _frames(payload, len(job.stages)):
            micros += frame.micros
            if isinstance(frame, Failure):
                error = frame
                break
            values.update(_new(decode_values(frame.values, data), values))
        if header.status == "ok" and error:
            raise MalformedError("it claims success with an error")
    except MalformedError as fault:
        if header.status not in ("timeout", "killed", "protocol"):  # those cut a frame short
            facts |= {"status": "protocol", "cause": f"its answer is broken: {fault}"}
    facts["seconds"] = micros / 1e6 if micros else header.wall_ms / 1e3
    if facts["status"] == "ok":
        return JobResult(values=values, **facts)
    if facts["status"] == "error" and error:
        facts |= _exception(error, job)
    return JobResult(**facts)


def _frames(payload: bytes, stages: int) -> list[tuple[Outputs | Failure, bytes]]:
    found: list[tuple[Outputs | Failure, bytes]] = []
    read, used = reader(payload), 0
    while used < len(payload):
        if len(found) == stages:
            raise MalformedError("it holds more answers than stages")
        counted = 0

        def count(size: int) -> bytes:
            nonlocal counted
            counted += size
            return read(size)

        header, data = receive(count, ("outputs", "error"), len(payload))
        assert isinstance(header, Outputs | Failure)
        found.append((header, data))
        used += counted
    return found


def _new(values: dict[str, Value], known: Mapping[str, Value]) -> dict[str, Value]:
    twice = sorted(values.keys() & known.keys())
    if twice:
        raise MalformedError(f"two stages returned the output `{twice[0]}`")
    total = len(values) + len(known)
    if total > VALUES_CAP:
        raise MalformedError(f"{total} outputs of all stages; {VALUES_CAP} are allowed")
    return values


def _exception(error: Failure, job: Job) -> dict[str, Any]:
    told = {
        "error_type": shown(error.type)[:_TYPE],
        "message": shown(error.message)[:_MESSAGE],
        "traceback": shown(error.traceback)[-_TRACEBACK:],
    }
    if error.memory:
        limit = f"out of memory: {job.limits.memory_mb} MiB are allowed (limits.memory_mb)"
        if job.on_gpu:
            limit = (
                f"out of memory on a GPU: {job.limits.gpu_memory_mb} MiB of it are allowed "
                "(limits.gpu_memory_mb in lab.toml)"
            )
        return told | {"status": "killed", "cause": limit}
    return told


class Session:
    """A connection to a worker; a context manager that hangs up.

    ``hello`` is what the worker told about itself. After a WorkerError the session is of no more
    use: open another one. ``grace`` seconds beyond a job's own deadline its answer is waited for.
    """

    def __init__(self, channel: Channel, *, grace: float = GRACE_SECONDS) -> None:
        self._channel, self._grace = channel, grace
        try:
            self.hello = self._greeting()
        except BaseException:
            channel.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; a job that still runs is killed."""
        self._channel.close()

    def run(self, job: Job) -> JobResult:
        """Run one job and wait for its answer.

        Raises WorkerError when the worker hangs up, breaks the protocol or does not answer.
        """
        seconds = job.limits.seconds + self._grace
        if not math.isfinite(seconds):
            raise WorkerError(f"{job.id} has no finite deadline")
        deadline = time.monotonic() + seconds
        try:
            self._channel.write(encode_job(job), deadline=deadline)
            return decode_result(job, lambda size: self._channel.read(size, deadline=deadline))
        except TimeoutError as fault:
            raise WorkerError(
                f"the worker did not answer {job.id} within {seconds:g} s",
                why="it enforces the deadline itself, so the machine or the worker is stuck",
            ) from fault
        except WorkerError as fault:
            if fault.where is None:
                fault.where = job.id
            raise

    def _greeting(self) -> Hello:
        deadline = time.monotonic() + GREETING_SECONDS
        try:
            return read_hello(lambda size: self._channel.read(size, deadline=deadline), "hello")
        except TimeoutError as fault:
            raise WorkerError(f"the worker said no hello for {GREETING_SECONDS:g} s") from fault


def read_hello(read: Callable[[int], bytes], kind: Literal["hello", "ready"]) -> Hello:
    """Read a worker's first frame; raises WorkerError with its last words if it has failed."""
    try:
        header, _ = receive(read, (kind, "failed"), 0)
    except MalformedError as fault:
        raise WorkerError(
            f"the worker did not say {kind}: {fault}", why=f"the host speaks protocol {PROTOCOL}"
        ) from fault
    if isinstance(header, Failed):
        raise WorkerError(
            f"the worker could not start: {shown(header.type)[:_TYPE]}: "
            f"{shown(header.message)[:_MESSAGE]}",
            why=shown(header.traceback).strip()[-_TRACEBACK:] or None,
        )
    assert isinstance(header, Hello)
    return header
