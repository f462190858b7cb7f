"""The host's end of the stream: nothing a worker sends can hurt it."""

import json
import math
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from paritylab.engines.streams import SocketChannel
from paritylab.errors import HungUpError, WorkerError
from paritylab.frames import reader
from paritylab.model import Limits
from paritylab.wire import Job, JobResult, Session, decode_result, encode_job
from paritylab.worker import (
    DTYPES,
    HEADER_CAP,
    MAGIC,
    PREFIX,
    PROTOCOL,
    VALUES_CAP,
    MalformedError,
    decode_values,
    encode_values,
    pack,
    read_frame,
)

JOB = Job(
    id="lab-pytorch@tiny-cpu", file="pytorch.py", source="", stages=("run",), inputs={},
    limits=Limits(output_mb=1), seed=0, profile="portable",
)  # fmt: skip
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
)
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: npst.arrays(name, npst.array_shapes(min_dims=0, min_side=0, max_side=4))
)
VALUES = st.dictionaries(NAMES.filter(lambda name: len(name) <= 200), SCALARS | ARRAYS, max_size=5)


def outputs(values: dict[str, Any], **changed: Any) -> bytes:
    """A stage's frame."""
    descriptors, payload = encode_values(values)
    return pack({"kind": "outputs", "micros": 5, "values": descriptors, **changed}, payload)


def result(payload: bytes, **changed: Any) -> bytes:
    """A whole answer to JOB around what its stages sent."""
    header = {
        "kind": "result", "id": JOB.id, "status": "ok", "cause": "", "peak_kb": 2048,
        "wall_ms": 10, "stdout": "", "stderr": "",
    }  # fmt: skip
    return pack(header | changed, payload)


def raw(header: bytes, payload: bytes = b"", lies: dict[str, int] | None = None) -> bytes:
    """A frame whose header is written by hand and whose lengths may lie."""
    sizes = {"header": len(header), "payload": len(payload)} | (lies or {})
    prefix = PREFIX.pack(MAGIC, PROTOCOL, sizes["header"], sizes["payload"])
    return prefix + header + payload


def stream(data: bytes) -> Callable[[int], bytes]:
    """A channel's ``read`` over these bytes: WorkerError at their end, and no huge request."""
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        assert size <= 64 << 20, "asked for more than any cap allows"
        part = data[position : position + size]
        position += size
        if len(part) < size:
            raise HungUpError("the worker hung up")
        return part

    return read


def same(left: Any, right: Any) -> bool:
    """Equal in type and in every bit."""
    if isinstance(left, np.ndarray):
        return (
            left.dtype == right.dtype
            and left.shape == right.shape
            and (left.tobytes() == right.tobytes())
        )
    if isinstance(left, float):
        return struct.pack(">d", left) == struct.pack(">d", right) or (
            math.isnan(left) and math.isnan(right)
        )
    return type(left) is type(right) and left == right


@given(VALUES)
def test_values_survive_in_every_bit(values: dict[str, Any]) -> None:
    """What goes in comes out: name, type, dtype, shape and bits, NaN included."""
    answer = decode_result(JOB, stream(result(outputs(values))))
    assert list(answer.values) == list(values)
    for name, value in values.items():
        assert same(value, answer.values[name]), name


@given(st.binary(max_size=400))
def test_random_bytes_are_a_worker_error(data: bytes) -> None:
    """Noise instead of an answer is a WorkerError with a sentence, and nothing else."""
    with pytest.raises(WorkerError) as told:
        decode_result(JOB, stream(data))
    assert str(told.value)


@given(st.data())
@settings(max_examples=150)
def test_bit_flips_do_no_harm(data: st.DataObject) -> None:
    """A flipped bit gives an answer or a WorkerError, never another exception."""
    frame = bytearray(result(outputs({"loss": np.arange(4.0), "name": "x", "n": 3, "f": 0.5})))
    for _ in range(data.draw(st.integers(1, 3))):
        bit = data.draw(st.integers(0, len(frame) * 8 - 1))
        frame[bit // 8] ^= 1 << bit % 8
    try:
        answer = decode_result(JOB, stream(bytes(frame)))
    except WorkerError:
        return
    assert isinstance(answer, JobResult)


@given(st.integers(min_value=0))
def test_truncation_is_a_worker_error(cut: int) -> None:
    """An answer that ends early is a WorkerError wherever it ends."""
    frame = result(outputs({"loss": np.arange(4.0)}))
    with pytest.raises(WorkerError):
        decode_result(JOB, stream(frame[: cut % len(frame)]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
KEYS = st.sampled_from(["kind", "micros", "values", "type", "message", "memory", "traceback"])


@given(st.dictionaries(KEYS, JSON | st.sampled_from(["outputs", "error"])), st.binary(max_size=40))
def test_hostile_stage_frames_are_the_jobs_fault(header: dict[str, Any], payload: bytes) -> None:
    """A stage's frame of any content is the job's own fault: status protocol, no exception."""
    frame = raw(json.dumps({"kind": "outputs", **header}).encode(), payload)
    answer = decode_result(JOB, stream(result(frame)))
    assert answer.status in ("ok", "protocol")


DESCRIPTOR = st.dictionaries(
    st.sampled_from(["name", "kind", "dtype", "shape", "more"]),
    JSON | st.sampled_from(["array", "scalar", "text", "uint8", "int64", "bool", "float32", "x"])
    | st.lists(st.integers(-1, 2**70), max_size=4),
)  # fmt: skip


@given(st.lists(DESCRIPTOR, max_size=3) | JSON, st.binary(max_size=64))
@settings(max_examples=100)
def test_hostile_descriptors_are_malformed(descriptors: Any, payload: bytes) -> None:
    """Descriptors of any content give values or a MalformedError, never another exception."""
    try:
        decode_values(descriptors, payload)
    except MalformedError:
        return


X = '"name":"x","kind":"array","dtype":"float32"'
HEADERS = {
    "NaN": '{"kind":"outputs","micros":NaN,"values":[]}',
    "infinite by overflow": '{"kind":"outputs","micros":1e999,"values":[]}',
    "nested a hundred thousand deep": "[" * 100_000,
    "nested inside": '{"kind":"outputs","micros":1,"values":' + "[" * 50_000 + "]" * 50_000 + "}",
    "a number of 5000 digits": '{"kind":"outputs","micros":' + "9" * 5000 + ',"values":[]}',
    "a key twice": '{"kind":"outputs","kind":"outputs","micros":1,"values":[]}',
    "a key too many": '{"kind":"outputs","micros":1,"values":[],"extra":1}',
    "a key missing": '{"kind":"outputs","values":[]}',
    "a number as text": '{"kind":"outputs","micros":"1","values":[]}',
    "a negative time": '{"kind":"outputs","micros":-1,"values":[]}',
    "another kind": '{"kind":"hello","micros":1,"values":[]}',
    "a kind that is a list": '{"kind":[],"micros":1,"values":[]}',
    "no object": "3",
    "no UTF-8": "\udc80",
    "more bytes than sent": f'{{"kind":"outputs","micros":1,"values":[{{{X},"shape":[9]}}]}}',
    "a shape that overflows": f'{{"kind":"outputs","micros":1,"values":[{{{X},"shape":[0,1e3]}}]}}',
    "a shape beyond all memory":
        f'{{"kind":"outputs","micros":1,"values":[{{{X},"shape":[0,1099511627776,1099511627776]}}]}}',
    "a negative length": f'{{"kind":"outputs","micros":1,"values":[{{{X},"shape":[-1]}}]}}',
    "a true length": f'{{"kind":"outputs","micros":1,"values":[{{{X},"shape":[true]}}]}}',
    "an object dtype":
        '{"kind":"outputs","micros":1,"values":[{"name":"x","kind":"array","dtype":"O","shape":[0]}]}',
    "a name twice":
        f'{{"kind":"outputs","micros":1,"values":[{{{X},"shape":[0]}},{{{X},"shape":[0]}}]}}',
    "a name with a newline": '{"kind":"outputs","micros":1,"values":['
        '{"name":"a\\nb","kind":"array","dtype":"float32","shape":[0]}]}',
    "a scalar with a shape": '{"kind":"outputs","micros":1,"values":['
        '{"name":"x","kind":"scalar","dtype":"int64","shape":[0]}]}',
    "text of another dtype": '{"kind":"outputs","micros":1,"values":['
        '{"name":"x","kind":"text","dtype":"int64","shape":[0]}]}',
    "a value of no kind": '{"kind":"outputs","micros":1,"values":['
        '{"name":"x","kind":"object","dtype":"int64","shape":[0]}]}',
}  # fmt: skip


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_named_attacks(header: str) -> None:
    """Each known trick in a stage's header is named in the cause, and costs the job alone."""
    frame = raw(header.encode("utf-8", "surrogateescape"))
    answer = decode_result(JOB, stream(result(frame)))
    assert answer.status == "protocol"
    assert answer.cause.startswith("its answer is broken: ")
    assert not answer.values


def test_bytes_of_a_bool_must_be_zero_or_one() -> None:
    """NumPy would treat other bytes as true and compare them as unequal to true."""
    with pytest.raises(MalformedError, match="no booleans"):
        decode_values([{"name": "x", "kind": "array", "dtype": "bool", "shape": [1]}], b"\x02")


def test_text_must_be_utf_8() -> None:
    """Bytes that are no text are not guessed at."""
    with pytest.raises(MalformedError, match="no proper 'text'"):
        decode_values([{"name": "x", "kind": "text", "dtype": "uint8", "shape": [1]}], b"\xff")


@pytest.mark.parametrize(
    "lies",
    [{"header": 2**32 - 1}, {"header": HEADER_CAP + 1}, {"payload": 2**63}, {"payload": 2**31}],
)
def test_lying_lengths_allocate_nothing(lies: dict[str, int]) -> None:
    """A claimed length beyond the cap is refused before it is asked for."""
    with pytest.raises(WorkerError, match="are allowed"):
        decode_result(JOB, stream(raw(b"{}", lies=lies)))


def test_answers_beyond_the_stages() -> None:
    """More stage frames than stages, or one output from two stages, are refused."""
    answer = decode_result(JOB, stream(result(outputs({"a": 1}) + outputs({"b": 2}))))
    assert (answer.status, "more answers than stages" in answer.cause) == ("protocol", True)
    two = Job(**(JOB.__dict__ | {"stages": ("save", "load")}))
    answer = decode_result(two, stream(result(outputs({"a": 1}) + outputs({"a": 2}))))
    assert "two stages returned the output `a`" in answer.cause


def test_outputs_of_all_stages_are_counted_together() -> None:
    """Two stages within the cap that exceed it together are refused: they could not be sent on."""
    two = Job(**(JOB.__dict__ | {"stages": ("save", "load")}))
    half = VALUES_CAP // 2
    first = outputs({f"a{number}": 1 for number in range(half)})
    sound, over = ({f"b{number}": 1 for number in range(half + more)} for more in (0, 1))
    answer = decode_result(two, stream(result(first + outputs(sound))))
    assert (answer.status, len(answer.values)) == ("ok", VALUES_CAP)
    answer = decode_result(two, stream(result(first + outputs(over))))
    assert (answer.status, "1001 outputs of all stages" in answer.cause) == ("protocol", True)


@pytest.mark.parametrize("size", [1000, 4_000_000])
def test_forged_texts_are_cut_to_what_a_worker_keeps(size: int) -> None:
    """The tail of a traceback and the head of everything else: no more than a worker sends."""
    text = "a" + "b" * (size - 2) + "c"
    error = {
        "kind": "error",
        "memory": False,
        "micros": 5,
        "type": "",
        "message": "",
        "traceback": "",
    }
    found = {
        name: getattr(
            decode_result(JOB, stream(result(pack(error | {name: text}), status="error"))), as_
        )
        for name, as_ in (
            ("type", "error_type"),
            ("message", "message"),
            ("traceback", "traceback"),
        )
    }
    assert {name: len(cut) for name, cut in found.items()} == {
        "type": 200, "message": min(size, 4000), "traceback": min(size, 16_000),
    }  # fmt: skip
    assert found["type"][0] + found["message"][0] + found["traceback"][-1] == "aac"


def test_answer_to_another_job() -> None:
    """An answer with another job's id means that the stream is out of step."""
    with pytest.raises(WorkerError, match="not 'lab-pytorch@tiny-cpu'"):
        decode_result(JOB, stream(result(b"", id="other")))


def test_refusal_is_told() -> None:
    """When a worker refuses a job, its reason reaches the user."""
    with pytest.raises(WorkerError, match="because"):
        decode_result(JOB, stream(pack({"kind": "refused", "why": "because"})))


def test_errors_and_success_contradict() -> None:
    """A stage that sends an error cannot make the job a success."""
    error = {
        "kind": "error", "type": "E", "message": "m", "traceback": "t", "memory": False,
        "micros": 1,
    }  # fmt: skip
    assert decode_result(JOB, stream(result(pack(error)))).status == "protocol"
    told = decode_result(JOB, stream(result(pack(error), status="error")))
    assert (told.status, told.error_type, told.message) == ("error", "E", "m")
    starved = decode_result(JOB, stream(result(pack(error | {"memory": True}), status="error")))
    assert (starved.status, "limits.memory_mb" in starved.cause) == ("killed", True)


def test_text_cannot_drive_the_terminal() -> None:
    """Escape sequences, NUL and lone surrogates in what a job printed are made harmless."""
    answer = decode_result(JOB, stream(result(outputs({}), stdout="a\x1b[2J\x00\ud800\r\n\tb")))
    assert answer.stdout == "a\ufffd[2J\ufffd\ufffd\n\tb"


def test_unsendable_inputs_are_told() -> None:
    """An input of a type that cannot travel is named before anything is sent."""
    job = Job(**(JOB.__dict__ | {"inputs": {"x": object()}}))
    with pytest.raises(WorkerError, match=r"input `x` is a builtins\.object"):
        encode_job(job)


def test_the_largest_header_of_values_fits() -> None:
    """As many values as are allowed, with the longest names and shapes, can be sent; not more."""
    names = ["\U0001f600" * 196 + f"{index:04}" for index in range(VALUES_CAP)]
    descriptors, payload = encode_values({name: np.zeros((1,) * 32) for name in names})
    pack({"kind": "outputs", "micros": 2**53, "values": descriptors}, payload)
    with pytest.raises(ValueError, match="1001 inputs; 1000 are allowed"):
        encode_values(dict.fromkeys([*names, "one more"], 0), "input")


def test_too_many_megabytes_of_inputs_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs beyond the worker's cap are refused here, with the reason, and never sent."""
    monkeypatch.setattr("paritylab.wire.PAYLOAD_CAP", 15)
    job = Job(**(JOB.__dict__ | {"inputs": {"x": np.zeros(2)}}))
    with pytest.raises(WorkerError, match="16 bytes of arrays; 15 are allowed"):
        encode_job(job)


@given(VALUES)
@settings(max_examples=30)
def test_the_worker_reads_what_the_host_writes(values: dict[str, Any]) -> None:
    """A job's inputs arrive bit by bit; both ends use the same functions."""
    frame = encode_job(Job(**(JOB.__dict__ | {"inputs": values})))
    header, payload = read_frame(reader(frame))
    found = decode_values(header["values"], payload)
    assert all(same(value, found[name]) for name, value in values.items())


HELLO = pack({"kind": "hello", "versions": {"numpy": "2"}, "threads": 1, "import_ms": 3})


def connected() -> tuple[SocketChannel, socket.socket]:
    """A channel, and the worker's end of it."""
    ours, theirs = socket.socketpair()
    return SocketChannel(ours), theirs


def test_session_greets_runs_and_hangs_up() -> None:
    """A session reads the hello, sends a job, reads its answer, and closes the stream."""
    channel, worker = connected()
    worker.sendall(HELLO + result(outputs({"x": 1})))
    with Session(channel) as session:
        assert session.hello.versions == {"numpy": "2"}
        assert session.run(JOB).values == {"x": 1}
    worker.settimeout(5)
    assert worker.recv(1 << 16)
    assert worker.recv(1) == b""


@pytest.mark.parametrize("hello", [b"", HELLO[:9], b"HTTP/1.1 400 Bad Request\r\n\r\n", pack({})])
def test_a_bad_greeting_closes_the_channel(hello: bytes) -> None:
    """A peer that is no worker is a WorkerError, and the stream is closed."""
    channel, worker = connected()
    worker.sendall(hello)
    worker.shutdown(socket.SHUT_WR)
    with pytest.raises(WorkerError):
        Session(channel)
    worker.settimeout(5)
    with suppress(ConnectionResetError):  # what a close with unread bytes looks like
        assert worker.recv(1) == b""


def test_a_silent_worker_is_told() -> None:
    """A worker that never answers is given up after the deadline and some grace."""
    job = Job(**(JOB.__dict__ | {"limits": Limits(seconds=0.1)}))
    channel, worker = connected()
    worker.sendall(HELLO)
    session, began = Session(channel, grace=0.1), time.monotonic()
    with pytest.raises(WorkerError, match="did not answer"):
        session.run(job)
    assert time.monotonic() - began < 5
    session.close()
