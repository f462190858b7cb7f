"""cluster.messages: what is sent arrives in every bit; nothing broken is taken for an answer."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from paritylab import images
from paritylab.bases import Base
from paritylab.cluster import kits, messages
from paritylab.digest import digest
from paritylab.engines.base import Unavailable
from paritylab.errands import Errand, Report
from paritylab.errors import (
    DockerError,
    EngineError,
    HungUpError,
    LabError,
    WorkerError,
)
from paritylab.frames import reader
from paritylab.model import Environment, Limits
from paritylab.runner import Executed
from paritylab.stacks import WorkerKey
from paritylab.wire import Job, JobResult, decode_result
from paritylab.worker import (
    HEADER_CAP,
    MAGIC,
    PREFIX,
    PROTOCOL,
    MalformedError,
    encode_values,
    pack,
)

HERE = Environment(
    name="tiny", folder=Path("x"), title="", python="3.11", stacks={}, profiles={}, support={}
)
KEY = WorkerKey(
    environment=HERE, device="cpu", profile="portable", preload=("numpy",), variables={"A": "1"}
)
JOB = Job(
    id="double-pytorch@tiny-cpu", file="pytorch.py", source="def run(): 'ü'\n", stages=("run",),
    inputs={"x": np.arange(3.0)}, limits=Limits(seconds=5.0), seed=7, profile="portable",
)  # fmt: skip
TWO_STAGES = replace(JOB, stages=("save", "load"))
ERRAND = Errand(id="double-pytorch@tiny-cpu", key=KEY, job=JOB)
NUMBERS = arrays.arrays(
    dtype=st.sampled_from(["float32", "float64", "int64", "bool", "uint8"]),
    shape=arrays.array_shapes(max_dims=3, max_side=4, min_side=0),
)
VALUES = st.dictionaries(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8),
    NUMBERS
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    max_size=5,
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
BASE = Report(
    id="a", executed=Executed(answer=JobResult(status="ok"), versions={}, cpu="c"), host="h",
    seconds=0.5,
)  # fmt: skip


def report(answer: Any, **more: Any) -> Report:
    """A report with this answer."""
    return replace(BASE, executed=replace(BASE.executed, answer=answer), **more)


@given(VALUES)
def test_inputs_arrive_in_every_bit(values: dict[str, Any]) -> None:
    """A job that travels is the job: name by name, NaN included, with its limits and its worker."""
    sent = replace(ERRAND, job=replace(JOB, inputs=values), on_gpu=True)
    (got,) = messages.read_errands(messages.pack_errand(sent), lambda _: HERE)
    assert digest(got.job.inputs) == digest(values)
    assert [type(value) for value in got.job.inputs.values()] == [
        type(value) for value in values.values()
    ]
    assert replace(got.job, inputs={}) == replace(JOB, inputs={})
    assert (got.id, got.key, got.key.name, got.on_gpu) == (sent.id, KEY, KEY.name, True)


@given(VALUES, WORDS, st.floats(0, 1e6) | st.none())
def test_answers_arrive_in_every_bit(values: dict[str, Any], text: str, peak: float | None) -> None:
    """Outputs keep their digest on the way to the machine that judges, and so does the rest."""
    answer = JobResult(
        status="ok", values=values, stdout=text, stderr=text, seconds=0.25, peak_memory_mb=peak
    )
    sent = report(answer, image="sha256:1", trouble=text)
    (got,) = messages.read_reports(messages.pack_report(sent), ["a"])
    assert digest(got.answer.values) == digest(values)
    assert replace(got.answer, values={}) == replace(answer, values={})
    assert replace(got, executed=BASE.executed) == replace(sent, executed=BASE.executed)
    assert got.executed.cpu == "c"


@pytest.mark.parametrize(
    "answer",
    [
        DockerError("gone", where="a", why="b", fix="c"),
        HungUpError("the worker hung up"),
        EngineError("x"),
    ],
)
def test_an_error_keeps_its_kind_and_its_four_parts(answer: LabError) -> None:
    """Exit codes and messages on a cluster are those of one machine."""
    (got,) = messages.read_reports(messages.pack_report(report(answer)), ["a"])
    assert type(got.answer) is type(answer)
    assert str(got.answer) == str(answer)


def test_what_a_host_lacks_travels_with_its_remedy() -> None:
    """A host without the interpreter says so in the words of the local engine."""
    missing = Unavailable(reason="no Python 3.7", fix="uv python install 3.7")
    (got,) = messages.read_reports(messages.pack_report(report(missing)), ["a"])
    assert got.answer == missing


def _raw(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """A frame with UTF-8 in its header, where an honest one escapes."""
    text = json.dumps(header, ensure_ascii=False).encode()
    return PREFIX.pack(MAGIC, PROTOCOL, len(text), len(payload)) + text + payload


def _error(message: str, traceback: str = "") -> bytes:
    head = {"kind": "error", "type": "E", "memory": False, "micros": 5}
    return _raw({**head, "message": message, "traceback": traceback})


def _outputs(first: int, names: Callable[[int], str]) -> bytes:
    values, payload = encode_values({names(n): 1.5 for n in range(first, first + 600)})
    return pack({"kind": "outputs", "micros": 5, "values": values}, payload)


LARGE: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "a forged message of 3 MB": ("error", _error("\xe9" * 1_600_000), {}),
    "a forged traceback of 4 MB": ("error", _error("", "\x7f" * 4_000_000), {}),
    "two stages of 600 outputs": ("ok", _outputs(0, str) + _outputs(600, str), {}),
    "a forged result": (
        "ok",
        _outputs(0, str),
        {"stdout": "\x80" * 1_000_000, "cause": "c" * 999_999},
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_an_answer_that_one_machine_takes_can_travel(name: str) -> None:
    """However large a hostile answer is: the verdict is that of one machine, and so is the rest."""
    status, payload, forged = LARGE[name]
    header = {
        "kind": "result", "id": JOB.id, "status": status, "cause": "", "peak_kb": 2048,
        "wall_ms": 10, "stdout": "", "stderr": "",
    }  # fmt: skip
    answer = decode_result(TWO_STAGES, reader(_raw(header | forged, payload)))
    (got,) = messages.read_reports(messages.pack_report(report(answer)), ["a"])
    assert got.answer == answer


def test_what_cannot_travel_is_a_broken_answer_and_costs_no_neighbour() -> None:
    """A report that no frame holds is told as such in its place; the others arrive."""
    large = report(WorkerError("x" * (HEADER_CAP + 1)), trouble="t" * HEADER_CAP)
    data = messages.pack_report(large) + messages.pack_report(replace(BASE, id="b"))
    broken, sound = messages.read_reports(data, ["a", "b"])
    assert isinstance(broken.answer, JobResult)
    assert (broken.answer.status, sound.answer) == ("protocol", BASE.answer)
    assert "cannot travel: the header has" in broken.answer.cause


@pytest.mark.parametrize("expected", [[], ["b"], ["a", "a"], ["b", "a"], ["a", "b", "c"]])
def test_answers_to_other_questions_are_refused(expected: list[str]) -> None:
    """An answer that is missing, twice, in another order or unasked for is no answer."""
    data = messages.pack_report(BASE) + messages.pack_report(replace(BASE, id="b"))
    assert [one.id for one in messages.read_reports(data, ["a", "b"])] == ["a", "b"]
    with pytest.raises(MalformedError):
        messages.read_reports(data, expected)


@given(st.binary(max_size=300))
def test_noise_is_told_as_such(data: bytes) -> None:
    """Random bytes are a MalformedError and nothing else."""
    with pytest.raises(MalformedError):
        messages.read_reports(data, ["a"])


@given(st.data())
@settings(max_examples=150)
def test_bit_flips_do_no_harm(data: st.DataObject) -> None:
    """A flipped bit gives reports or a MalformedError, never another exception."""
    frame = bytearray(messages.pack_report(report(JobResult(status="ok", values={"x": 1.5}))))
    for _ in range(data.draw(st.integers(1, 3))):
        bit = data.draw(st.integers(0, len(frame) * 8 - 1))
        frame[bit // 8] ^= 1 << bit % 8
    try:
        (got,) = messages.read_reports(bytes(frame), ["a"])
    except MalformedError:
        return
    assert isinstance(got, Report)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "green"}, {"more": 1}, {"seconds": "1"}, {"kind": "order"}, {"values": {}},
        {"versions": [1]}, {"host": None},
    ],
)  # fmt: skip
def test_a_report_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    """Unknown keys, wrong types and unheard-of statuses are no answers."""
    good = {
        "id": "a", "host": "h", "seconds": 1.0, "image": "", "trouble": "", "elsewhere": False,
        "versions": {}, "hardware": None, "cpu": "", "kind": "result", "status": "ok",
        "cause": "", "error_type": "", "message": "", "traceback": "", "inside": 0.1,
        "peak_memory_mb": None, "stdout": "", "stderr": "", "values": [],
    }  # fmt: skip
    assert messages.read_reports(pack(good), ["a"])
    with pytest.raises(MalformedError):
        messages.read_reports(pack({**good, **change}), ["a"])


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ""])
def test_a_kit_cannot_write_outside_its_folder(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths of a kit stay below the cache of the host."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WorkerError):
        kits.unpack({path: "text"})
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
    assert not list(kits.cache.folder("cluster").iterdir())


def test_a_kit_makes_the_environments_again_and_holds_no_lab(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without a checkout gets the same workers; what is right never travels."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    own = kits.catalog.load(project).environments["tiny"]
    kit = kits.pack([own])
    assert not [name for name in kit if "labs" in name or "scenario" in name]
    place = kits.unpack(kit)
    assert kits.unpack(kit) == place
    there = kits.environment(place, "tiny")
    assert there.folder.is_relative_to(tmp_path / "cache")
    assert (there.profiles, there.support) == (own.profiles, own.support)
    assert there.stacks["cpu"].lock_digest == own.stacks["cpu"].lock_digest


def test_a_kit_leads_to_the_same_images_and_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of images are their content: a host finds what was built or loaded for this."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path))
    own = kits.catalog.load(PROJECT, labs=("multiply",), environments=("tf2",)).environments["tf2"]
    there = kits.environment(kits.unpack(kits.pack([own])), "tf2")
    base = Base(reference="sha256:0", title="base")
    assert own.stacks["cpu"].lock_digest
    assert there.stacks["cpu"].lock_digest == own.stacks["cpu"].lock_digest
    assert images.tag(there, "cpu", base) == images.tag(own, "cpu", base)
