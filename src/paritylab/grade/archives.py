"""Zip and tar archives of strangers: listed inside bounds, read into memory, never unpacked.

Nothing is written to disk, no name out of an archive is ever used as a path, and no size it states
is believed. What a bound stops becomes a sentence in the student's feedback.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paritylab.grade.members import (
    FILES_CAP,
    KINDS,
    Listing,
    Member,
    cap_of,
    read_file,
    shown,
    skipped,
    too_large,
    unsafe,
)
from paritylab.grade.parsing import UnreadableError

ARCHIVE_CAP = 64 << 20
"""Bytes of an archive as it lies on disk."""
UNPACKED_CAP = 128 << 20
"""Bytes that a tar archive may unpack to while it is searched."""
DIRECTORY_CAP = 12 << 20
"""Bytes of a zip's table of contents: each entry takes some ten times as much memory."""
LZMA_MEMORY = 128 << 20
SUFFIXES = (
    ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz",
)  # fmt: skip
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile,
    EOFError, OSError, ValueError, KeyError, IndexError, struct.error, NotImplementedError,
    RuntimeError, OverflowError, MemoryError, TypeError, AttributeError,
)  # fmt: skip


def is_archive(name: str) -> bool:
    """True for a name that ends like an archive's."""
    return name.lower().endswith(SUFFIXES)


def stem(name: str) -> str:
    """The name without an archive's ending."""
    ending = max((s for s in SUFFIXES if name.lower().endswith(s)), key=len, default="")
    return name[: len(name) - len(ending)]


def listing(path: Path, wanted: Callable[[str], bool]) -> Listing:
    """Return what an archive on disk holds; only members whose path is ``wanted`` can be read.

    Never raises for what is in it: whatever is wrong is a sentence in ``faults``.
    """
    try:
        data = read_file(path, ARCHIVE_CAP)
        if zipfile.is_zipfile(io.BytesIO(data)) and not _is_tar(data):
            return _zip(data, wanted)
        return _tar(data, wanted)
    except UnreadableError as fault:
        return Listing(faults=[str(fault)])
    except _BROKEN as fault:
        why = shown(" ".join(str(fault).split()), 120) or type(fault).__name__
        told = f"{shown(path.name)} is no zip or tar archive, or it was cut off: {why}"
        return Listing(faults=[told])


def _is_tar(data: bytes) -> bool:
    # A tar whose last member is a stored zip ends like a zip.
    return data[257:262] == b"ustar"


def _zip(data: bytes, wanted: Callable[[str], bool]) -> Listing:
    _check_directory(data)
    found = Listing()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        seen: dict[str, int] = {}
        for entry in entries:
            seen[entry.filename] = seen.get(entry.filename, 0) + 1
        for entry in entries[:FILES_CAP]:
            if not entry.is_dir() and not skipped(entry.filename):
                _add(found, _zip_member(data, entry, seen[entry.filename]), wanted)
    _tell_unsafe(found)
    return found


def _check_directory(data: bytes) -> None:
    """Refuse a table of contents that is too long to be read, before it is read.

    The end record's layout is section 4.3.16 of the ZIP specification (APPNOTE.TXT).
    """
    at = data.rfind(b"PK\x05\x06", max(0, len(data) - (1 << 16) - 22))
    if at < 0 or len(data) < at + 22:
        raise UnreadableError("the zip archive has no end: it was cut off")
    size = int(struct.unpack_from("<I", data, at + 12)[0])
    zip64 = data[max(0, at - 20) : at].startswith(b"PK\x06\x07")
    if zip64 or size > DIRECTORY_CAP:
        raise UnreadableError(
            "the zip archive holds more files than can be looked at; leave out data sets and "
            "virtual environments"
        )


def _zip_member(data: bytes, entry: zipfile.ZipInfo, count: int) -> Member:
    mode = entry.external_attr >> 16
    kind = KINDS.get(stat.S_IFMT(mode)) if entry.create_system == 3 and mode else None
    fault = f"is {kind}, not a file" if kind else ""
    if entry.flag_bits & 1:
        fault = "is encrypted; hand in an archive without a password"
    elif entry.compress_type not in _METHODS:
        fault = f"is compressed in a way (method {entry.compress_type}) that is not read"
    elif count > 1:
        fault = f"stands {count} times in the archive; which one counts cannot be told"

    def read(cap: int) -> bytes:
        if entry.file_size > cap:
            raise too_large(entry.filename, entry.file_size, cap)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(entry) as file:
                content = file.read(cap + 1)
        except _BROKEN as broken:
            why = shown(" ".join(str(broken).split()), 120)
            raise UnreadableError(f"{shown(entry.filename)} is damaged: {why}") from None
        if len(content) > cap:
            raise too_large(entry.filename, len(content), cap)
        return content

    return Member(path=entry.filename, size=entry.file_size, read=read, fault=fault)


def _tar(data: bytes, wanted: Callable[[str], bool]) -> Listing:
    """Search a tar from its beginning to its end, once; keep the bytes of wanted members."""
    found, kept = Listing(), set[str]()
    source: Any = _Bounded(_unpacked(data))
    with tarfile.open(fileobj=source, mode="r|") as archive:
        remembered: list[tarfile.TarInfo] = vars(archive)["members"]  # it would keep every one
        for _ in range(FILES_CAP):
            entry = archive.next()
            if entry is None:
                break
            remembered.clear()
            if entry.isdir() or skipped(entry.name):
                continue
            repeated = entry.name in kept
            kept |= {entry.name} if wanted(entry.name) else set()
            _add(found, _tar_member(archive, entry, wanted, repeated=repeated), wanted)
        else:
            found.faults.append(f"holds more than {FILES_CAP:,} files; the rest was not read")
    _tell_unsafe(found)
    return found


def _tar_member(
    archive: tarfile.TarFile,
    entry: tarfile.TarInfo,
    wanted: Callable[[str], bool],
    *,
    repeated: bool,
) -> Member:
    fault, content, cap = "", b"", cap_of(entry.name)
    if entry.issym() or entry.islnk():
        fault = "is a link, not a file"
    elif not entry.isreg():
        fault = "is a device or a FIFO, not a file"
    elif repeated:
        fault = "stands in the archive more than once; which one counts cannot be told"
    elif entry.sparse is not None:
        fault = "is stored as a sparse file, which no source is"
    elif wanted(entry.name) and entry.size <= cap:
        stream = archive.extractfile(entry)
        content = stream.read(cap) if stream else b""

    def read(limit: int) -> bytes:
        if entry.size > limit or len(content) < entry.size:
            raise too_large(entry.name, entry.size, limit)
        return content

    return Member(path=entry.name, size=entry.size, read=read, fault=fault)


def _add(found: Listing, member: Member, wanted: Callable[[str], bool]) -> None:
    """Keep a member; what is neither wanted nor dangerous is only its name."""
    danger = unsafe(member.path)
    if danger or (member.fault and not wanted(member.path)):
        found.notes.append(f"`{shown(member.path)}`: {danger or member.fault}; left aside")
    else:
        found.members.append(member)


def _tell_unsafe(found: Listing) -> None:
    if len(found.notes) > 5:
        found.notes[5:] = [f"{len(found.notes) - 5} more entries of that kind were left aside"]


def _unpacked(data: bytes) -> io.RawIOBase | io.BufferedIOBase:
    """The tar inside: told by its first bytes, not by its name."""
    raw = io.BytesIO(data)
    if data.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if data.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if data.startswith(b"\xfd7zXZ\x00"):
        return _Xz(data)
    return raw


class _Xz(io.RawIOBase):
    """An xz stream with a bound on the memory that its dictionary may take."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)
        self._input = data

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, none at the end of the stream."""
        while not self._decoder.eof:
            part = self._decoder.decompress(self._input, size)
            self._input = b""
            if part:
                return part
            if self._decoder.needs_input and not self._decoder.eof:
                raise EOFError("the xz stream was cut off")
        return b""


class _Bounded:
    """A stream that ends with a sentence instead of filling the memory."""

    def __init__(self, source: io.RawIOBase | io.BufferedIOBase) -> None:
        self._source, self._left = source, UNPACKED_CAP

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; raises UnreadableError beyond the cap."""
        part = self._source.read(min(size, 1 << 20)) or b""
        self._left -= len(part)
        if self._left < 0:
            raise UnreadableError(
                f"the archive unpacks to more than {UNPACKED_CAP >> 20} MiB; hand in your source "
                "files only"
            )
        return part
