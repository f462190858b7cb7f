"""Bytes that a student sent -> text, or a sentence that says why not."""

from __future__ import annotations

import codecs
import re

from paritylab.grade.parsing import SOURCE_CAP, UnreadableError

COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
LATIN = {"iso8859-1", "cp1252", "iso8859-15"}
"""Encodings beside UTF-8 that a first line may declare, as Python names them."""
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decoded(data: bytes, *, shown: str) -> tuple[str, tuple[str, ...]]:
    """Return a source's text with line feeds only, and notes; raises UnreadableError.

    UTF-8 with or without a byte order mark, UTF-16 with one, and what a PEP 263 comment declares of
    the western 8-bit encodings. ``shown`` is the file's name for messages.
    """
    if len(data) > SOURCE_CAP:
        raise UnreadableError(
            f"{shown} has {len(data):,} bytes; at most {SOURCE_CAP >> 10} KiB are read"
        )
    encoding, notes = _encoding(data, shown)
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as fault:
        line = data[: fault.start].count(b"\n") + 1
        raise UnreadableError(
            f"{shown} line {line}: not {encoding} text (byte 0x{data[fault.start]:02x}); "
            "save the file as UTF-8"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UnreadableError(f"{shown} line {line}: holds a NUL character, which no source has")
    if BIDI.search(text):
        notes.append(f"{shown} holds invisible characters that change the direction of text")
    return text.replace("\r\n", "\n").replace("\r", "\n"), tuple(notes)


def _encoding(data: bytes, shown: str) -> tuple[str, list[str]]:
    for mark, name in _BOMS:
        if data.startswith(mark):
            told = f"{shown} was read as {name}: it begins with a byte order mark"
            return name, [] if name == "utf-8" else [told]
    for line in data.split(b"\n", 2)[:2]:
        declared = COOKIE.match(line)
        if declared is None:
            continue
        label = declared[1].decode("ascii")
        try:
            name = codecs.lookup(label).name
        except LookupError:
            name = label
        if name in LATIN:
            return name, [f"{shown} was read as {name}, as its first lines say"]
        if name not in ("utf-8", "ascii", "utf-8-sig"):
            raise UnreadableError(f"{shown} declares the encoding {label!r:.40}; save it as UTF-8")
    return "utf-8", []
