"""The frames that a worker may send: strict schemas, and how one is read.

Nothing a worker sends is believed: whatever is no such frame is a MalformedError with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from paritylab.worker import MalformedError, read_frame

Status = Literal["ok", "error", "timeout", "killed", "protocol"]
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Frame(BaseModel):
    """The header of a frame: no key missing, none too many, no type converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


_Count = Annotated[int, Field(ge=0, lt=1 << 53)]
_Word = Annotated[str, StringConstraints(max_length=200)]


class Hello(Frame):
    """What a worker tells about itself; ``threads`` is how many it had after its imports."""

    kind: Literal["ready", "hello"]
    versions: Annotated[dict[_Word, _Word], Field(max_length=100)]
    threads: _Count
    import_ms: _Count


class Failed(Frame):
    """Why a worker could not start."""

    kind: Literal["failed"]
    type: str
    message: str
    traceback: str
    memory: bool


class Refused(Frame):
    """Why a worker would not take what it was sent; the session ends with it."""

    kind: Literal["refused"]
    why: str


class Result(Frame):
    """How a job ended, as the worker saw it; the payload is its stages' frames."""

    kind: Literal["result"]
    id: str
    status: Status
    cause: str
    peak_kb: _Count
    wall_ms: _Count
    stdout: str
    stderr: str


class Outputs(Frame):
    """What a stage returned: descriptors of the values in the payload."""

    kind: Literal["outputs"]
    micros: _Count
    values: list[Any]


class Failure(Frame):
    """The exception that ended a stage."""

    kind: Literal["error"]
    type: str
    message: str
    traceback: str
    memory: bool
    micros: _Count


_SCHEMAS: dict[str, type[Frame]] = {
    "ready": Hello, "hello": Hello, "failed": Failed, "refused": Refused, "result": Result,
    "outputs": Outputs, "error": Failure,
}  # fmt: skip


def receive(
    read: Callable[[int], bytes], allowed: tuple[str, ...], payload_cap: int
) -> tuple[Frame, bytes]:
    """Read one frame of an allowed kind; raises MalformedError before it allocates too much."""
    header, payload = read_frame(read, payload_cap)
    kind = header.get("kind")
    if kind not in allowed:
        raise MalformedError(f"a frame of kind {kind!r:.40} where {' or '.join(allowed)} was due")
    try:
        return _SCHEMAS[kind].model_validate(header), payload
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(str(part)[:40] for part in first["loc"][:4])
        raise MalformedError(f"the {kind} frame's key `{key}`: {first['msg'][:200]}") from None


def shown(text: str) -> str:
    """Return text from a worker with everything replaced that a terminal or XML would act on."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))


def reader(data: bytes) -> Callable[[int], bytes]:
    """Return a ``read`` over bytes; it raises MalformedError when they end early."""
    stream = BytesIO(data)

    def read(size: int) -> bytes:
        part = stream.read(size)
        if len(part) < size:
            raise MalformedError("a frame ends in the middle")
        return part

    return read
