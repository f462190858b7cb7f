"""What is really installed: every file of an environment with its SHA-256, hashed inside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from docker.client import DockerClient
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from paritylab.commands import Command, run
from paritylab.engines.dockerclient import explained
from paritylab.engines.sandbox import Container
from paritylab.errors import EngineError

PLACE = "/opt/venv"
"""Where images have their virtual environment."""
# Runs inside: any Python from 3.7 to 3.13, isolated and without site, so that nothing that is
# installed takes part in its own examination.
SCRIPT = r"""
import csv, hashlib, importlib.util, json, marshal, os, sys

root, system = sys.argv[1], sys.argv[2] == "system"
found = {"python": sys.version, "files": {}, "links": {}, "texts": {}, "byte_code": 0,
         "stale": [], "compiled": [], "unreadable": [], "system": {}}

def shown(path):
    return os.fsencode(path).decode("utf-8", "replace")

def sha256(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            total.update(block)
    return total.hexdigest()

def source_of(path):
    folder, name = os.path.split(path)
    return os.path.join(os.path.dirname(folder), name.split(".")[0] + ".py")

def fits(path):
    if os.path.basename(os.path.dirname(path)) != "__pycache__":
        return True  # byte code without a source: files of its own right
    source = source_of(path)
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

def same(one, other):
    # Lines and handlers too, which not every Python's own comparison looks at.
    tables = ("co_linetable", "co_exceptiontable", "co_lnotab")
    known = [name for name in tables if hasattr(one, name)][:2]
    pairs = [(getattr(one, name), getattr(other, name)) for name in known]
    inner = [pair for pair in zip(one.co_consts, other.co_consts) if isinstance(pair[0], type(one))]
    return one == other and all(a == b for a, b in pairs) and all(same(a, b) for a, b in inner)

def compiled(path):
    # Whether this is, instruction by instruction, what the source beside it compiles to. Byte code
    # is read here, never run.
    level = os.path.basename(path).partition(".opt-")[2][:1]
    with open(path, "rb") as code, open(source_of(path), "rb") as source:
        try:
            found = marshal.loads(code.read()[16:])
            again = compile(source.read(), found.co_filename, "exec", dont_inherit=True,
                            optimize=int(level or 0))
            return same(again, found)
        except (AttributeError, EOFError, SyntaxError, TypeError, ValueError):
            return False

def brought(record):
    # Byte code that a package brings itself.
    site = os.path.dirname(os.path.dirname(record))
    for row in csv.reader(found["texts"][record].splitlines()):
        if len(row) > 1 and row[1] and row[0].endswith(".pyc"):
            yield os.path.normpath(os.path.join(site, row[0]))

for folder, folders, names in os.walk(root):
    folders.sort()
    links = [one for one in folders if os.path.islink(os.path.join(folder, one))]
    for name in sorted(names) + links:
        path = os.path.join(folder, name)
        label = shown(os.path.relpath(path, root))
        try:
            if os.path.islink(path):
                found["links"][label] = shown(os.readlink(path))
                continue
            found["files"][label] = [sha256(path), os.path.getsize(path)]
            if name.endswith(".pyc"):
                found["byte_code"] += 1
                if not fits(path):
                    found["stale"].append(label)
            if folder.endswith(".dist-info") and name in ("RECORD", "METADATA"):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text = file.read()
                found["texts"][label] = text if name == "RECORD" else text.split("\n\n")[0]
        except OSError as fault:
            found["unreadable"].append("%s: %s" % (label, fault.strerror))
for record in [label for label in found["texts"] if label.endswith("RECORD")]:
    for label in brought(record):
        path = os.path.join(root, label)
        there = label in found["files"] and os.path.isfile(source_of(path))
        if there and fits(path) and compiled(path):
            found["compiled"].append(label)
for path in ("/etc/os-release", "/etc/base.packages") if system else ():
    if os.path.isfile(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            found["system"][path] = file.read()
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """An environment's files, by path relative to its root.

    ``files`` maps to (SHA-256, bytes), ``links`` to targets, ``texts`` to the contents of RECORD
    files and the heads of METADATA. ``byte_code`` counts the .pyc files, ``stale`` are those that
    are not of the source beside them; of those that a RECORD lists, ``compiled`` are what that
    source compiles to. ``system`` has the files that tell the base's packages.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    python: str
    files: Mapping[str, tuple[str, int]]
    links: Mapping[str, str]
    texts: Mapping[str, str]
    byte_code: int
    stale: tuple[str, ...]
    compiled: tuple[str, ...]
    unreadable: tuple[str, ...]
    system: Mapping[str, str]


def of_venv(python: Path) -> Inventory:
    """Examine the virtual environment that a Python belongs to; raises EngineError."""
    arguments = ["-I", "-S", "-B", "-c", SCRIPT, str(python.parent.parent), "venv"]
    what = f"the files of {python.parent.parent.name} cannot be examined"
    return _parsed(run(Command(argv=[str(python), *arguments], what=what, error=EngineError)))


def of_image(client: DockerClient, image: str) -> Inventory:
    """Examine an image from inside, in a sandbox; raises DockerError or EngineError."""
    api: Any = client.api
    container = Container(client, image, None)  # files are hashed, nothing is imported: no GPU
    try:
        with explained("an examination of the image's files"):
            command = [f"{PLACE}/bin/python", "-I", "-S", "-B", "-c", SCRIPT, PLACE, "system"]
            made = api.exec_create(container.id, command, user="0")
            said, errors = api.exec_start(made["Id"], demux=True)
            status = api.exec_inspect(made["Id"])["ExitCode"]
    finally:
        container.remove()
    if status:
        why = (errors or b"").decode(errors="replace").strip()[-400:]
        raise EngineError(f"the files of {image[:19]} cannot be examined", why=why)
    return _parsed((said or b"").decode(errors="replace"))


def _parsed(text: str) -> Inventory:
    try:
        return TypeAdapter(Inventory).validate_python(json.loads(text))
    except (ValueError, ValidationError) as fault:
        raise EngineError(
            "the environment's Python gave no inventory", why=str(fault)[:200]
        ) from None
