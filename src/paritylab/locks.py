"""Reading locks: exact versions with hashes, one wheel per package, no addresses, no paths.

The format is pip's requirements format, restricted to what ``locking`` writes::

    absl-py==2.1.0 \\
        --hash=sha256:526a04eadab8b4ee719ce68f204172ead1027549089702d99b9059f129ff1308
        # absl_py-2.1.0-py3-none-any.whl; via tensorboard, tensorflow
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from paritylab.errors import LockError
from paritylab.model import Stack
from paritylab.targets import UV_PLATFORM

COMMAND = "nox -s lock"
HEADER = f"# Written by `{COMMAND}`: do not edit. Change"
INPUTS = "# inputs: sha256:"
PIN = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)"
)


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One locked package.

    ``hashes`` are SHA-256 sums in hexadecimal, in the order of the lock: of the one wheel, or of
    the source archive and the wheel that is built from it.
    """

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """The pin as one line of a requirements file."""
        hashes = "".join(f" --hash=sha256:{digest}" for digest in self.hashes)
        return f"{self.name}=={self.version}{hashes}"


Pins = Mapping[str, Pin]
"""Pins by normalised name, sorted."""


def parse_lock(path: Path) -> dict[str, Pin]:
    """Return the pins of a lock by normalised name; raise LockError with the line at fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        what = f"the lock cannot be read: {fault}"
        raise LockError(what, where=_shown(path), fix=COMMAND) from fault
    return parse_text(text, where=_shown(path))


def parse_text(text: str, *, where: str) -> dict[str, Pin]:
    """Return the pins of a lock's text; ``where`` names it in errors (LockError)."""
    pins: dict[str, Pin] = {}
    for number, line in _logical_lines(text):
        pin = _pin(line)
        if pin is None or pin.name in pins:
            problem = "is locked twice" if pin else "is not `name==version --hash=sha256:…`"
            raise LockError(f"`{line[:80]}` {problem}", where=f"{where}:{number}", fix=COMMAND)
        pins[pin.name] = pin
    return dict(sorted(pins.items()))


def lock_digest(path: Path) -> str:
    """Return the SHA-256 of a lock's pins and hashes; comments and order do not count."""
    return pins_digest(parse_lock(path))


def pins_digest(pins: Pins) -> str:
    """Return the SHA-256 of pins and hashes, whatever their order."""
    lines = sorted(
        f"{pin.name}=={pin.version} {' '.join(sorted(pin.hashes))}\n" for pin in pins.values()
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def inputs_digest(stack: Stack, python: str) -> str:
    """Return the SHA-256 of what a lock is made from: requirements, overrides, Python, platform.

    Comments and blank lines of the requirements do not count.
    """
    text = stack.requirements.read_text("utf-8")
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    facts = [python, UV_PLATFORM, *sorted(stack.overrides), "--", *(line for line in lines if line)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def header(stack: Stack, python: str) -> str:
    """Return the first lines of a lock: who writes it, from what, for what."""
    return (
        f"{HEADER} {stack.requirements.name} or environment.toml, then run it again.\n"
        f"{INPUTS}{inputs_digest(stack, python)}\n"
        f"# One wheel per package, for CPython {python} on {UV_PLATFORM}; made to be installed\n"
        "# with --require-hashes from a folder of wheels, without network.\n"
    )


def is_ours(path: Path) -> bool:
    """Return True if the file starts with the header that ``nox -s lock`` writes."""
    return path.read_text("utf-8", errors="replace").startswith(HEADER)


def checked(stack: Stack, python: str) -> dict[str, Pin]:
    """Return the pins of a stack; raise LockError if its lock is missing, foreign or stale."""
    where = _shown(stack.lock)
    if not stack.lock.is_file():
        raise LockError("there is no lock", where=where, fix=COMMAND)
    if not is_ours(stack.lock):
        raise LockError(
            "the lock was not written by us", where=where, fix=f"move it away, then `{COMMAND}`"
        )
    if f"{INPUTS}{inputs_digest(stack, python)}\n" not in stack.lock.read_text("utf-8"):
        raise LockError(
            "the lock is stale",
            where=where,
            why=f"{stack.requirements.name}, overrides or python changed after it was written",
            fix=COMMAND,
        )
    return parse_lock(stack.lock)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    start, parts = 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        code = re.sub(r"(^|\s)#.*$", "", line).strip()
        parts.append(code.removesuffix("\\").strip())
        start = start or number
        if code.endswith("\\"):
            continue
        joined = " ".join(part for part in parts if part)
        if joined:
            yield start, joined
        start, parts = 0, []
    if any(parts):
        yield start, " ".join(parts) + " \\"


def _pin(line: str) -> Pin | None:
    match = PIN.fullmatch(line)
    if not match:
        return None
    try:
        Version(match["version"])
    except InvalidVersion:
        return None
    return Pin(
        name=canonicalize_name(match["name"]),
        version=match["version"],
        hashes=tuple(re.findall(r"sha256:([0-9a-f]{64})", match["hashes"])),
    )


def _shown(path: Path) -> str:
    return "/".join(path.parts[-3:])
