"""Large JSON files a piece at a time: no more of a list is held than one element as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, TextIO

from pydantic_core import to_json

_DECODER = json.JSONDecoder()
_MARGIN = b"  "
_CHUNK = 1 << 16  # characters read at a time
_AHEAD = 3  # characters that are seen behind a value: `1` is one, but 1e+ may go on to 1e+5
_SPACE = " \t\n\r"


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


def read_object(file: TextIO, each: Mapping[str, Callable[[int, Any], Any]]) -> dict[str, Any]:
    """Return the JSON object that ``file`` holds, parsed as it is read.

    The elements of a list that ``each`` has a function for (by the list's key) become what it
    returns for their number and value, one at a time. Raises ValueError for what is no JSON, no
    object, or has a key twice; RecursionError where it is nested too deeply.
    """
    text = _Text(file)
    found: dict[str, Any] = {}
    for _ in text.parts("{", "}"):
        key = text.value()
        if not isinstance(key, str) or key in found:
            raise ValueError(f"not a key, or one twice: {key!r:.40}")
        text.expect(":")
        if key in each and text.peek() == "[":
            found[key] = [each[key](place, text.value()) for place in text.parts("[", "]")]
        else:
            found[key] = text.value()
    if text.peek():
        raise ValueError("something follows the object")
    return found


class _Text:
    """What has been read of a file and not yet been parsed."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0

    def peek(self) -> str:
        """Return the next character that is no space; nothing at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def expect(self, character: str) -> None:
        """Pass over ``character``; raises ValueError where another one is next."""
        if self.peek() != character:
            raise ValueError(f"`{character}` expected")
        self._at += 1

    def parts(self, begin: str, end: str) -> Iterator[int]:
        """Yield a number for each part of a list or an object; the caller takes the part itself."""
        self.expect(begin)
        for place in count():
            if self.peek() == end:
                break
            if place:
                self.expect(",")
            yield place
        self.expect(end)

    def value(self) -> Any:
        """Return the next value, whatever it is."""
        self.peek()
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._at)
            except ValueError:
                if not self._more():
                    raise
            else:
                if end + _AHEAD <= len(self._text) or not self._more():
                    self._at = end
                    return found

    def _more(self) -> bool:
        """Read on, twice as much where a value is long: each character is parsed twice at most."""
        read = self._file.read(max(_CHUNK, len(self._text) - self._at))
        if read:
            self._text, self._at = self._text[self._at :] + read, 0
        return bool(read)
