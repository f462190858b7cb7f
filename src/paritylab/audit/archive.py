"""The outer form of a bundle: a zip with one way to write it, so that every byte counts.

Members are stored, sorted and undated, so names and contents alone decide the file. A reader
rebuilds it and compares: whatever was changed, also in a header that no checksum covers, shows.
Nothing is ever unpacked to the disk, and nothing is inflated.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from paritylab.errors import BundleError

MAX_BYTES = 512 << 20
"""Bytes that a bundle may have in all; it is read into memory."""
MAX_MEMBERS = 20_000
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*(/[A-Za-z0-9_][A-Za-z0-9_.@+-]*)*")
MAX_NAME = 240
_MAX_FILE = MAX_BYTES + MAX_MEMBERS * (2 * MAX_NAME + 128)
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_END = struct.Struct("<4s4H2LH")  # end of central directory: ..., its size, its offset, a comment's
_ENTRY = 46  # bytes of a directory's entry, beside the name
_NO_BUNDLE = "this is no bundle, or its end is missing"
_AGAIN = "get the bundle again from where it was made"

Members = Mapping[str, bytes]
"""Contents by name."""


def pack(members: Members) -> bytes:
    """Return the zip of ``members``; the same members give the same bytes on every machine.

    Raises BundleError for a name or size that ``unpack`` would refuse.
    """
    for name in members:
        _check_name(name)
    size = sum(map(len, members.values()))
    if size > MAX_BYTES or len(members) > MAX_MEMBERS:
        raise BundleError(
            f"{len(members)} files with {size >> 20} MiB are too much for a bundle",
            why=f"{MAX_MEMBERS} files and {MAX_BYTES >> 20} MiB are allowed",
            fix="audit fewer labs at a time: `paritylab audit --lab …`",
        )
    return _zipped(members)


def unpack(path: Path) -> dict[str, bytes]:
    """Return the members of a bundle by name.

    Raises BundleError, with the name of the member at fault where there is one, for whatever is
    not exactly what ``pack`` writes.
    """
    return unpacked(read(path), path)


def unpacked(data: bytes, path: Path) -> dict[str, bytes]:
    """The same for the bytes that ``path`` held."""
    _check_end(data, path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_directory(infos, path)
            members = {info.filename: _content(archive, info, path) for info in infos}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError) as fault:
        raise BundleError(_NO_BUNDLE, where=str(path), why=str(fault), fix=_AGAIN) from None
    _check_form(data, members, infos, path)
    return members


def _zipped(members: Members) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, content in sorted(members.items()):
            info = zipfile.ZipInfo(name, _FIRST_DAY)
            info.create_system, info.external_attr = _UNIX, (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return out.getvalue()


def read(path: Path) -> bytes:
    """Return a bundle's bytes; raises BundleError for what is no file, or too large for one."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise BundleError("a bundle is a file", where=str(path))
        if status.st_size <= _MAX_FILE:
            return path.read_bytes()
    except OSError as fault:
        raise BundleError(f"it cannot be read: {fault.strerror}", where=str(path)) from None
    raise BundleError(
        f"{status.st_size >> 20} MiB are too much for a bundle",
        where=str(path),
        why=f"it may have {MAX_BYTES >> 20} MiB",
    )


def _check_end(data: bytes, path: Path) -> None:
    """Refuse a directory of millions, which `zipfile` would read before it can be asked."""
    end = data[-_END.size :]
    if len(end) < _END.size or end[:4] != b"PK\5\6" or data[-_END.size - 20 :][:4] == b"PK\6\7":
        why = "it does not end as one"
        raise BundleError(_NO_BUNDLE, where=str(path), why=why, fix=_AGAIN)
    size = _END.unpack(end)[-3]
    if size > MAX_MEMBERS * (_ENTRY + MAX_NAME):
        raise BundleError(
            f"a directory of {size >> 20} MiB is too large for a bundle",
            where=str(path),
            why=f"{MAX_MEMBERS} members are allowed",
        )


def _check_directory(infos: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse by the directory alone what is not safe to read, before anything is read."""
    if len(infos) > MAX_MEMBERS:
        raise BundleError(f"{len(infos)} members; {MAX_MEMBERS} are allowed", where=str(path))
    seen: set[str] = set()
    for info in infos:
        name = info.orig_filename
        _check_name(name)
        if name in seen:
            raise BundleError(f"the member {name} is there twice", where=str(path))
        seen.add(name)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            what = "a link" if kind == stat.S_IFLNK else "no plain file"
            raise BundleError(f"the member {name} is {what}", where=str(path))
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise BundleError(
                f"the member {name} is compressed or encrypted",
                where=str(path),
                why="a bundle stores its members as they are",
            )
    size = sum(info.file_size for info in infos)
    if size > MAX_BYTES:
        raise BundleError(
            f"the members claim {size >> 20} MiB; {MAX_BYTES >> 20} are allowed", where=str(path)
        )


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise BundleError(
            f"{name[:80]!r} is no name for a member of a bundle",
            why="names are relative, without `..`, in letters, digits and _ . @ + -",
        )


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as fault:
        raise BundleError(
            f"the member {info.filename} was changed or cut off",
            where=str(path),
            why=str(fault),
            fix=_AGAIN,
        ) from None


def _check_form(data: bytes, members: Members, infos: list[zipfile.ZipInfo], path: Path) -> None:
    rebuilt = _zipped(members)
    if rebuilt == data:
        return
    starts = [(info.header_offset, info.filename) for info in infos]
    at = next(_differing(data, rebuilt), min(len(data), len(rebuilt)))
    near = max((start for start in starts if start[0] <= at), default=(0, "its beginning"))
    raise BundleError(
        f"the zip's own records were changed at byte {at}, near {near[1]}",
        where=str(path),
        why="the members are whole, but this is not the zip that paritylab writes for them",
        fix=_AGAIN,
    )


def _differing(data: bytes, rebuilt: bytes) -> Iterator[int]:
    """Offsets of the blocks' first differing bytes."""
    block = 1 << 16
    for start in range(0, min(len(data), len(rebuilt)), block):
        ours, theirs = data[start : start + block], rebuilt[start : start + block]
        if ours != theirs:
            yield start + next(
                (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
                min(len(ours), len(theirs)),
            )
