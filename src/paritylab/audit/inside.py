"""What is installed, as an environment's own Python finds it: every file with its SHA-256.

This file runs INSIDE environments (Python 3.7 to 3.13, stdlib alone), isolated and without site,
so that nothing that is installed takes part in its own examination. Its source travels; it prints
one JSON object, which ``inventory.Inventory`` describes. Byte code is read here, never run.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import marshal
import os
import stat
import sys
from types import CodeType
from typing import Any, Dict, Iterator

Found = Dict[str, Any]
SYSTEM = ("/etc/os-release", "/etc/base.packages")
"""Files of an image that tell the packages under the environment."""


def examine(root: str, system: bool) -> Found:
    """Return what is below ``root``, and in an image what tells of the system."""
    found: Found = {
        "python": sys.version, "files": {}, "links": {}, "texts": {}, "byte_code": 0,
        "stale": [], "compiled": [], "unreadable": [], "system": {},
    }  # fmt: skip
    for folder, folders, names in os.walk(root):
        folders.sort()
        links = [one for one in folders if os.path.islink(os.path.join(folder, one))]
        for name in sorted(names) + links:
            path = os.path.join(folder, name)
            label = _shown(os.path.relpath(path, root))
            try:
                _look(found, path, label)
            except OSError as fault:
                found["unreadable"].append("%s: %s" % (label, fault.strerror))
    for record in [label for label in found["texts"] if label.endswith("RECORD")]:
        for label in _brought(found, record):
            path = os.path.join(root, label)
            there = label in found["files"] and os.path.isfile(_source_of(path))
            if there and _fits(path) and _compiled(path):
                found["compiled"].append(label)
    for path in SYSTEM if system else ():
        if os.path.isfile(path):
            found["system"][path] = _text(path)
    return found


def _look(found: Found, path: str, label: str) -> None:
    kind = os.lstat(path)
    if stat.S_ISLNK(kind.st_mode):
        found["links"][label] = _shown(os.readlink(path))
        return
    if not stat.S_ISREG(kind.st_mode):  # opening a pipe would wait for ever
        found["unreadable"].append("%s: no file" % label)
        return
    found["files"][label] = [_sha256(path), kind.st_size]
    folder, name = os.path.split(path)
    if name.endswith(".pyc"):
        found["byte_code"] += 1
        if not _fits(path):
            found["stale"].append(label)
    if folder.endswith(".dist-info") and name in ("RECORD", "METADATA"):
        text = _text(path)
        found["texts"][label] = text if name == "RECORD" else text.split("\n\n")[0]


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _sha256(path: str) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            total.update(block)
    return total.hexdigest()


def _source_of(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(os.path.dirname(folder), name.split(".")[0] + ".py")


def _fits(path: str) -> bool:
    """Whether byte code carries the hash or the date of the source beside it."""
    if os.path.basename(os.path.dirname(path)) != "__pycache__":
        return True  # byte code without a source: files of its own right
    source = _source_of(path)
    if not os.path.isfile(source):
        return False
    with open(path, "rb") as file:
        head = file.read(16)
    if len(head) < 16 or head[:4] != importlib.util.MAGIC_NUMBER:
        return False
    if head[4] & 1:
        with open(source, "rb") as file:
            return head[8:] == importlib.util.source_hash(file.read())
    seen = os.stat(source)
    dated = [int(seen.st_mtime) & 0xFFFFFFFF, seen.st_size & 0xFFFFFFFF]
    return head[8:] == b"".join(number.to_bytes(4, "little") for number in dated)


def _compiled(path: str) -> bool:
    """Whether byte code is, instruction by instruction, what the source beside it compiles to."""
    level = os.path.basename(path).partition(".opt-")[2][:1]
    with open(path, "rb") as code, open(_source_of(path), "rb") as source:
        try:
            found = marshal.loads(code.read()[16:])  # noqa: S302 - compared, never run
            again = compile(
                source.read(),
                found.co_filename,
                "exec",
                dont_inherit=True,
                optimize=int(level or 0),
            )
            return _same(again, found)
        except (AttributeError, EOFError, SyntaxError, TypeError, ValueError):
            return False


def _same(one: CodeType, other: CodeType) -> bool:
    # Lines and handlers too, which not every Python's own comparison looks at.
    tables = ("co_linetable", "co_exceptiontable", "co_lnotab")
    known = [name for name in tables if hasattr(one, name)][:2]
    pairs = [(getattr(one, name), getattr(other, name)) for name in known]
    constants = zip(one.co_consts, other.co_consts)  # noqa: B905 - not in Python 3.7
    inner = [pair for pair in constants if isinstance(pair[0], CodeType)]
    return one == other and all(a == b for a, b in pairs) and all(_same(a, b) for a, b in inner)


def _brought(found: Found, record: str) -> Iterator[str]:
    """Byte code that a package brings itself."""
    site = os.path.dirname(os.path.dirname(record))
    for row in csv.reader(found["texts"][record].splitlines()):
        if len(row) > 1 and row[1] and row[0].endswith(".pyc"):
            yield os.path.normpath(os.path.join(site, row[0]))


if __name__ == "__main__":
    json.dump(examine(sys.argv[1], sys.argv[2] == "system"), sys.stdout)
