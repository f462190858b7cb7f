"""jsonfile: large files in pieces, with the bytes and the values that the whole would have."""

import json
import math
import weakref
from collections.abc import Iterator
from dataclasses import asdict
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json
from test_report import result

from paritylab import jsonfile, report
from paritylab.jsonfile import pieces, read_object
from paritylab.model import Divergence, Verdict

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
PLAIN = st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | TEXT


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and objects of ``leaves``."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    )


JSON = nested(PLAIN | st.floats())
STRICT = nested(PLAIN | st.floats(allow_nan=False, allow_infinity=False))


def whole(data: Any) -> bytes:
    """What is written where everything is held at once."""
    return to_json(data, indent=2, inf_nan_mode="null")


@given(st.dictionaries(TEXT, JSON, max_size=4))
@settings(deadline=None)
def test_pieces_are_the_bytes_of_the_whole(data: dict[str, Any]) -> None:
    """No tool can tell how a file was written."""
    assert b"".join(pieces(data)) == whole(data)


def test_a_run_is_written_as_it_was_when_it_was_held_whole() -> None:
    """Every field of every cell, byte for byte: tuples, enumerations, Infinity, NaN, line ends."""
    first = Divergence(
        output="loss", index=(3, 4), step=3, expected="0.5", got="inf", ulp=None, relative=None,
        allowed=1e-6, outside=7, total=10,
    )  # fmt: skip
    found = [
        result(Verdict.IDENTICAL, digest="ab" * 32, recorded_digest="ab" * 32),
        result(Verdict.UNSUPPORTED, message="no sessions here"),
        result(
            Verdict.DIVERGED, divergences=(first,), stdout="a\nb\r\n\u2028 é \\ \" }\n  ]",
            tolerance_used={"loss": math.inf}, max_error={"loss": 1e-300}, max_ulp={"loss": 2**53},
            curves={"loss": [1.0, math.nan]}, measured={"time": [[0.1, 2]]}, texts={"s": "x\ty"},
        ),
    ]  # fmt: skip
    data = report.document(found, [], {"engine": "venv", "images": {}}, {"shard": {"cells": []}})
    plain = {**data, "cells": [asdict(one) for one in found]}
    assert b"".join(pieces(data)) == whole(plain)
    empty = report.document([], [], {})
    assert b"".join(pieces(empty)) == whole(empty)


class Element(dict[str, int]):
    """What can be told to be gone."""


def test_an_iterator_is_taken_from_as_the_file_grows() -> None:
    """Neither the elements nor their text pile up: each is gone when the next is written."""
    made: list[weakref.ref[Element]] = []

    def elements() -> Iterator[Element]:
        for number in range(50):
            one = Element(number=number)
            made.append(weakref.ref(one))
            yield one
            del one

    written = 0
    for piece in pieces({"cells": elements(), "after": 1}):
        written += b"number" in piece
        assert len(piece) < 100
        assert written <= len(made) <= written + 1
        assert sum(ref() is not None for ref in made) <= 1
    assert written == len(made) == 50


@given(st.dictionaries(TEXT, STRICT, max_size=4), st.integers(1, 9), st.sampled_from([None, 0, 3]))
@settings(deadline=None)
def test_what_is_read_in_pieces_is_what_is_read_whole(
    data: dict[str, Any], chunk: int, indent: int | None
) -> None:
    """Wherever a piece ends: within a number, an escape, a word or between two values."""
    text = json.dumps(data, indent=indent) + "\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonfile, "_CHUNK", chunk)
        again = read_object(BytesIO(text.encode()), {})
    assert repr(again) == repr(json.loads(text))


@given(st.text('{}[]":,.-+eE0123456789tfnrualsINy \t\n\\é/', max_size=12), st.integers(1, 4))
@settings(deadline=None, max_examples=400)
def test_what_is_no_json_is_never_read_as_some(body: str, chunk: int) -> None:
    """The reader in pieces accepts nothing that Python's own refuses, and reads it alike."""
    for text in (body, f'{{"cells": {body}}}', f'{{"cells": [{body}], "a": 1}}', f"{{{body}}}"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jsonfile, "_CHUNK", chunk)
            try:
                found = read_object(BytesIO(text.encode()), {"cells": lambda _, value: value})
            except (ValueError, RecursionError):
                continue
        assert repr(found) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", "{", '{"a"}', '{"a": }', '{"a": 1,}', '{"a": [1,]}', '{"a": [,1]}',
     '{"a": 1} x', '{}"', '{}"}', '{"a": 1, "a": 2}', '{"a": [1 2]}', '{a: 1}', '{"a": 1 "b": 2}',
     '{"a": [1}'],
)  # fmt: skip
def test_every_fault_is_a_value_error(text: str) -> None:
    """The caller asks the whole file what is wrong."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the whole file's
        read_object(BytesIO(text.encode()), {"a": lambda _, value: value})


def test_a_bomb_of_lists_is_refused_while_it_is_read() -> None:
    """A list nested without end would end the stack of whoever looks at it."""
    with pytest.raises(RecursionError, match="deep"):
        read_object(BytesIO(b'{"cells": [' + b"[" * 100_000), {"cells": lambda _, value: value})


class Counting(BytesIO):
    """A file that knows how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        """See BytesIO."""
        found = super().read(size)
        self.taken += len(found)
        return found


def test_elements_are_handed_over_while_the_file_is_read() -> None:
    """Of a file of any length a piece is held, and one element."""
    count = 20_000
    text = json.dumps({"cells": [{"number": n, "pad": "x" * 40} for n in range(count)], "z": 0})
    file = Counting(text.encode())
    seen: list[tuple[int, int]] = []

    def one(place: int, value: dict[str, Any]) -> int:
        seen.append((place, file.taken))
        return int(value["number"])

    assert read_object(file, {"cells": one}) == {"cells": list(range(count)), "z": 0}
    assert [place for place, _ in seen] == list(range(count))
    ahead = [taken - len(text) * place // count for place, taken in seen]
    assert max(ahead) <= 3 * jsonfile._CHUNK
