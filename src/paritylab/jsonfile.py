"""Large JSON files a piece at a time: no more of a list is held than one element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

import ijson
from pydantic_core import to_json

_MARGIN = b"  "
_CHUNK = 1 << 14  # bytes read at a time; their events take twenty times as much
_DEEPEST = 500  # Python's own reader gives up where its stack ends: at about a thousand

Events = Iterator[tuple[str, Any]]


def pieces(data: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the bytes that ``to_json(data, indent=2, inf_nan_mode="null")`` returns.

    The elements of a list, a tuple or an iterator in ``data`` itself are written one by one; an
    iterator is taken from no faster. Strict JSON has no Infinity and no NaN: they become null.
    """
    yield b"{"
    between = b"\n"
    for key, value in data.items():
        yield between + _MARGIN + to_json(key) + b": "
        if isinstance(value, list | tuple | Iterator):
            yield from _list(value)
        else:
            yield _nested(value, _MARGIN)
        between = b",\n"
    yield b"\n}" if data else b"}"


def _list(values: Iterable[Any]) -> Iterator[bytes]:
    yield b"["
    between = b"\n"
    for value in values:
        yield between + 2 * _MARGIN + _nested(value, 2 * _MARGIN)
        between = b",\n"
    yield b"\n" + _MARGIN + b"]" if between == b",\n" else b"]"


def _nested(value: Any, margin: bytes) -> bytes:
    # A line ends only between tokens: within a string it is written as \n.
    text: bytes = to_json(value, indent=len(_MARGIN), inf_nan_mode="null")
    return text.replace(b"\n", b"\n" + margin)


def read_object(file: BinaryIO, each: Mapping[str, Callable[[int, Any], Any]]) -> dict[str, Any]:
    """Return the JSON object that ``file`` holds, parsed as it is read.

    The elements of a list that ``each`` has a function for (by the list's key) become what it
    returns for their number and value, one at a time. Raises ValueError for what is no JSON, no
    object, has a key twice, or a number that no float or 64-bit integer is; RecursionError where
    it is nested too deeply.
    """
    # Without a last line end a string that begins behind the object would be taken for nothing.
    text = chain(iter(partial(file.read, _CHUNK), b""), [b"\n"])
    events = ijson.basic_parse(ijson.from_iter(text), use_float=True)
    try:
        return _object(events, each)
    except ijson.JSONError as fault:  # for some backends its text is bytes
        raise ValueError(f"no JSON: {fault}") from None


def _object(events: Events, each: Mapping[str, Callable[[int, Any], Any]]) -> dict[str, Any]:
    if next(events) != ("start_map", None):
        raise ValueError("no object")
    found: dict[str, Any] = {}
    for event, key in events:
        if event == "end_map":
            continue  # nothing follows, or the parser says so
        if key in found:
            raise ValueError(f"a key twice: {key!r:.40}")
        begin = next(events)
        if key in each and begin[0] == "start_array":
            elements = enumerate(_elements(events))
            found[key] = [each[key](place, value) for place, value in elements]
        else:
            found[key] = _value(begin, events)
    return found


def _elements(events: Events) -> Iterator[Any]:
    """Yield what is in the list that has begun, up to its end."""
    for begin in events:
        if begin[0] == "end_array":
            return
        yield _value(begin, events)


def _value(begin: tuple[str, Any], events: Events) -> Any:
    """Return the value that begins with the event ``begin``."""
    built, depth = ijson.ObjectBuilder(), 0
    for event, value in chain([begin], events):
        built.event(event, value)
        depth += event.startswith("start_") - event.startswith("end_")
        if not depth:
            break
        if depth > _DEEPEST:
            raise RecursionError(f"nested more than {_DEEPEST} deep")
    return built.value
