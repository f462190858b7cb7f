"""The files inside a submission, wherever they lie: what archives and folders have in common."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from paritylab.grade.notebooks import NOTEBOOK_CAP
from paritylab.grade.parsing import SOURCE_CAP, UnreadableError

FILES_CAP = 200_000
"""Files of one submission that are looked at (their names; hardly any is opened)."""
DEPTH_CAP = 32
SKIPPED = {"__MACOSX", "__pycache__", ".git", ".ipynb_checkpoints", ".venv", "node_modules"}
KINDS = {
    stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device", stat.S_IFLNK: "a link",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file: its path as written (``/`` between parts), its size, and how to get its bytes.

    ``read(cap)`` returns at most ``cap`` bytes; it raises UnreadableError with a sentence. A
    ``fault`` says why it must not be read at all.
    """

    path: str
    size: int
    read: Callable[[int], bytes]
    fault: str = ""

    @property
    def name(self) -> str:
        """The last part of the path, in one Unicode form."""
        return unicodedata.normalize("NFC", PurePosixPath(self.path).name)

    @property
    def depth(self) -> int:
        """How many folders lie around it."""
        return len(PurePosixPath(self.path).parts)


@dataclass(kw_only=True)
class Listing:
    """What a submission holds: members, and sentences about what was left aside."""

    members: list[Member] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def cap_of(name: str) -> int:
    """The bytes that are read of a file of this name."""
    return NOTEBOOK_CAP if name.lower().endswith(".ipynb") else SOURCE_CAP


def unsafe(path: str) -> str:
    """Why a name inside an archive must not be trusted, or an empty string."""
    parts = path.replace("\\", "/").split("/")
    if path.startswith(("/", "\\")) or (len(path) > 1 and path[1] == ":"):
        return "an absolute path"
    if ".." in parts:
        return "a path that leads out of the archive"
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in path):
        return "control characters in its name"
    return ""


def shown(text: str, limit: int = 80) -> str:
    """A name from outside for a message: one line, nothing that moves text or cursor."""
    plain = "".join(c if c.isprintable() and c not in "\u202e\u202d" else "\ufffd" for c in text)
    return plain if len(plain) <= limit else plain[: limit - 1] + "\u2026"


def skipped(path: str) -> bool:
    """True for what operating systems and tools leave behind."""
    parts = PurePosixPath(path).parts
    return any(part in SKIPPED for part in parts) or (bool(parts) and parts[-1].startswith("._"))


def file_member(path: Path, name: str) -> Member:
    """A file of the disk; only regular files are ever opened."""
    try:
        status = path.lstat()
    except OSError as fault:
        return Member(path=name, size=0, read=_refused, fault=f"cannot be read: {fault.strerror}")
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    fault_text = f"is {kind}, not a file" if kind else ""
    return Member(
        path=name,
        size=status.st_size,
        read=lambda cap: read_file(path, cap),
        fault=fault_text,
    )


def read_file(path: Path, cap: int) -> bytes:
    """Return a regular file's bytes; never blocks, follows no link; raises UnreadableError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as fault:
        raise UnreadableError(f"{shown(path.name)} cannot be read: {fault.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(f"{shown(path.name)} is no regular file")
        if status.st_size > cap:
            raise too_large(path.name, status.st_size, cap)
        return file.read(status.st_size)  # a buffer of that size, not of the cap's


def too_large(name: str, size: int, cap: int) -> UnreadableError:
    """The sentence for a file that is beyond its cap."""
    limit = f"{cap >> 20} MiB" if cap >= 1 << 20 else f"{cap >> 10} KiB"
    return UnreadableError(f"{shown(name)} has {size:,} bytes; at most {limit} are read")


def folder_listing(folder: Path) -> Listing:
    """Return the files below a folder, shallow ones first; links are not followed."""
    found = Listing()
    level = [(folder, "")]
    for _ in range(DEPTH_CAP):
        deeper: list[tuple[Path, str]] = []
        for here, prefix in level:
            deeper += _scan(here, prefix, found)
            if len(found.members) > FILES_CAP:
                found.faults.append(
                    f"holds more than {FILES_CAP:,} files; the rest was not looked at"
                )
                return found
        level = sorted(deeper, key=lambda entry: entry[1])
    if level:
        found.notes.append(f"folders deeper than {DEPTH_CAP} were not looked at")
    return found


def _scan(here: Path, prefix: str, found: Listing) -> list[tuple[Path, str]]:
    """Add one folder's files in the order of their names; return its folders."""
    try:
        with os.scandir(here) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as fault:
        found.faults.append(f"folder {shown(prefix or here.name)} cannot be read: {fault.strerror}")
        return []
    deeper = []
    for entry in listed:
        name = f"{prefix}{entry.name}"
        if skipped(name):
            continue
        if entry.is_dir(follow_symlinks=False):
            deeper.append((Path(entry.path), f"{name}/"))
        else:
            found.members.append(file_member(Path(entry.path), name))
    return deeper


def _refused(_: int) -> bytes:
    raise UnreadableError("cannot be read")
