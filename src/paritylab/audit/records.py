"""Installed files held against what vouches for them: RECORD, the wheel, the lock's hash."""

from __future__ import annotations

import base64
import binascii
import csv
import posixpath
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from paritylab.audit.inventory import Inventory
from paritylab.locks import Pin, Pins
from paritylab.wheelhouse import sha256, stored

SHOWN = 50
"""Paths of a kind that are listed; more are counted."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One installed package.

    ``files`` were found as RECORD says, ``changed`` were not, ``missing`` are not there (images
    leave test suites, headers and static archives out). ``recompiled`` is byte code that the
    package brings and the installer has compiled again, from a source that is as RECORD and wheel
    say: it is neither. ``pinned`` says that the lock has this
    version. ``wheel`` is the SHA-256 of the wheel in the lock, None where the wheel is not at
    hand; ``wheel_files`` of the installed files are those of the wheel, ``not_wheel`` are not.
    ``modules`` can be imported, ``requires`` are the packages that it names as its own needs.
    """

    name: str
    version: str
    pinned: bool
    files: int
    changed: tuple[str, ...]
    missing: int
    missing_examples: tuple[str, ...]
    wheel: str | None
    wheel_files: int
    not_wheel: tuple[str, ...]
    modules: tuple[str, ...]
    requires: tuple[str, ...]
    recompiled: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether everything that is there is what RECORD, wheel and lock say."""
        return self.pinned and not self.changed and not self.not_wheel


@dataclass(frozen=True, kw_only=True)
class Installation:
    """All packages of an environment, and the files that no package vouches for."""

    python: str
    distributions: tuple[Distribution, ...]
    absent: tuple[str, ...]
    unknown: tuple[str, ...]
    unknown_count: int
    links: Mapping[str, str]
    byte_code: int
    stale_byte_code: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether the lock's packages are all there, and every file is as it should be."""
        whole = all(one.sound for one in self.distributions)
        return whole and not (self.absent or self.stale_byte_code or self.unreadable)


def examine(inventory: Inventory, pins: Pins) -> Installation:
    """Hold an environment's files against RECORD files, wheels at hand and the lock."""
    known: set[str] = set()
    found = []
    for label, text in sorted(inventory.texts.items()):
        # What a package carries inside itself is vouched for by that package's RECORD.
        site = posixpath.dirname(posixpath.dirname(label))
        if posixpath.basename(label) == "RECORD" and posixpath.basename(site) == "site-packages":
            rows = _rows(text, site)
            known |= rows.keys()
            found.append(_distribution(inventory, label, rows, pins))
    # A module that is compiled after it was installed is in no RECORD; its source vouches for it.
    stale = set(inventory.stale)
    unknown = sorted(
        name
        for name in inventory.files.keys() - known
        if "__pycache__" not in name or not name.endswith(".pyc") or name in stale
    )
    return Installation(
        python=inventory.python,
        distributions=tuple(sorted(found, key=lambda one: one.name)),
        absent=tuple(sorted(pins.keys() - {one.name for one in found})),
        unknown=tuple(f"{name} sha256:{inventory.files[name][0]}" for name in unknown[:SHOWN]),
        unknown_count=len(unknown),
        links={name: _shown(target) for name, target in sorted(inventory.links.items())},
        byte_code=inventory.byte_code,
        stale_byte_code=tuple(sorted(stale)[:SHOWN]),
        unreadable=inventory.unreadable[:SHOWN],
    )


def _shown(target: str) -> str:
    """Where a link leads, without the folders of this machine."""
    return f"…/{posixpath.basename(target)}" if target.startswith("/") else target


def _distribution(
    inventory: Inventory, label: str, rows: Mapping[str, str | None], pins: Pins
) -> Distribution:
    folder = posixpath.dirname(label)
    name, version, requires = _metadata(inventory.texts.get(f"{folder}/METADATA", ""), folder)
    pin = pins.get(name)
    there = {path for path in rows if path in inventory.files or path in inventory.links}
    changed = {p for p in there if rows[p] and _actual(inventory, p) not in (None, rows[p])}
    missing = sorted(rows.keys() - there)
    wheel, of_wheel = _of_wheel(pin, posixpath.dirname(folder))
    compared = {path: digest for path, digest in of_wheel.items() if path in inventory.files}
    differing = {p for p, digest in compared.items() if inventory.files[p][0] != digest}
    vouched = {path for path in there if rows[path]} - changed - differing
    odd = (changed | differing) & set(inventory.compiled)
    recompiled = {path for path in odd if _source(path) in vouched}
    return Distribution(
        name=name,
        version=version,
        pinned=pin is not None and pin.version == version,
        files=len(there) - len(changed),
        changed=tuple(sorted(changed - recompiled)[:SHOWN]),
        missing=len(missing),
        missing_examples=tuple(missing[:3]),
        wheel=wheel,
        wheel_files=len(compared) - len(differing),
        not_wheel=tuple(sorted(differing - recompiled)[:SHOWN]),
        modules=_modules(rows, posixpath.dirname(folder)),
        requires=requires,
        recompiled=tuple(sorted(recompiled)[:SHOWN]),
    )


def _source(path: str) -> str:
    """The source of byte code in a ``__pycache__`` folder."""
    folder, name = posixpath.split(path)
    return posixpath.join(posixpath.dirname(folder), name.partition(".")[0] + ".py")


def _actual(inventory: Inventory, path: str) -> str | None:
    return inventory.files[path][0] if path in inventory.files else None


def _rows(text: str, site: str) -> dict[str, str | None]:
    """Paths of a RECORD, from the environment's root, with their SHA-256 where one is told."""
    found: dict[str, str | None] = {}
    for row in csv.reader(text.splitlines()):
        if row and row[0]:
            path = posixpath.normpath(posixpath.join(site, row[0]))
            found[path] = _digest(row[1]) if len(row) > 1 else None
    return found


def _digest(text: str) -> str | None:
    """``sha256=<base64>`` as hexadecimal (PEP 376, PEP 427); None where nothing is told."""
    algorithm, _, value = text.partition("=")
    if not text:
        return None
    try:
        padded = value + "=" * (-len(value) % 4)
        return base64.urlsafe_b64decode(padded).hex() if algorithm == "sha256" else text
    except (binascii.Error, ValueError):
        return text  # no file has this digest, so the file counts as changed


def _metadata(text: str, folder: str) -> tuple[str, str, tuple[str, ...]]:
    """Name, version and needs (without extras), from METADATA, else from the folder's name."""
    fallback = posixpath.basename(folder).removesuffix(".dist-info")
    name, _, version = fallback.partition("-")
    needs = set()
    for line in text.splitlines():
        key, _, value = line.partition(": ")
        if key == "Name":
            name = value.strip()
        elif key == "Version":
            version = value.strip()
        elif key == "Requires-Dist" and not re.search(r"\bextra\b", value):
            try:
                needs.add(canonicalize_name(Requirement(value).name))
            except InvalidRequirement:
                continue
    return canonicalize_name(name), version, tuple(sorted(needs))


def _modules(rows: Mapping[str, object], site: str) -> tuple[str, ...]:
    """Top-level names that can be imported."""
    names = set()
    for path in rows:
        inside = posixpath.relpath(path, site)
        top, _, rest = inside.partition("/")
        if top.startswith(("..", "__pycache__")) or ".dist-info" in top or ".data" in top:
            continue
        if rest.endswith((".py", ".so")) or (not rest and top.endswith((".py", ".so"))):
            names.add(top.split(".")[0])
    return tuple(sorted(name for name in names if name.isidentifier()))


def _of_wheel(pin: Pin | None, site: str) -> tuple[str | None, dict[str, str]]:
    """The lock's wheel, hashed again, and the SHA-256 of the files that it puts into ``site``."""
    path = stored(pin) if pin else None
    if path is None or pin is None:
        return None, {}
    digest = sha256(path)
    if digest not in pin.hashes:
        return None, {}
    return digest, wheel_rows(path, site)


def wheel_rows(wheel: Path, site: str) -> dict[str, str]:
    """SHA-256 by installed path, from the RECORD inside a wheel.

    What goes elsewhere (scripts, whose first line is rewritten) and what every installer writes
    anew (RECORD itself) is left out.
    """
    with zipfile.ZipFile(wheel) as archive:
        [record] = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", n)]
        rows = _rows(archive.read(record).decode("utf-8", "replace"), "")
    data = f"{record.removesuffix('.dist-info/RECORD')}.data/"
    found: dict[str, str] = {}
    for path, digest in rows.items():
        inside: Sequence[str] = path.removeprefix(data).split("/", 1)
        elsewhere = path.startswith(data) and inside[0] not in ("purelib", "platlib")
        if digest and not elsewhere:
            target = inside[1] if path.startswith(data) else path
            found[posixpath.normpath(posixpath.join(site, target))] = digest
    return found
