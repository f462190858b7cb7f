"""Who handed in: ids that are safe for paths, and the names that ``submissions.csv`` gives."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paritylab.errors import SubmissionError, nearest
from paritylab.grade.rules import moment

LONGEST = 60
_UNSAFE = re.compile(r"[^a-z0-9._-]+")
_VALID = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A row of ``submissions.csv``: the student's key, name, and time of handing in (or empty)."""

    key: str
    name: str
    submitted: str


def ids(keys: Iterable[str]) -> Mapping[str, str]:
    """Return an id for every key: lower case, safe for a path, unique, and stable.

    A key that is an id already stays. Another becomes its letters and digits; where that loses
    something, or where two keys would share an id, eight digits of the key's SHA-256 tell them
    apart. So an id depends on the other keys only where two collide.
    """
    known = sorted(set(keys))
    plain = {key: _plain(key) for key in known}
    owners: dict[str, list[str]] = {}
    for key in known:
        owners.setdefault(plain[key], []).append(key)
    found = {}
    for key in known:
        alone = len(owners[plain[key]]) == 1
        exact = key == plain[key]
        found[key] = plain[key] if exact or (alone and _lossless(key)) else _told_apart(key)
    return found


def _plain(key: str) -> str:
    text = unicodedata.normalize("NFKD", key).lower()
    text = "".join(c for c in text if not unicodedata.combining(c))
    return _UNSAFE.sub("-", text).strip("-._")[:LONGEST].strip("-._") or "student"


def _lossless(key: str) -> bool:
    """True where the id still holds every letter and digit of the key."""
    folded = unicodedata.normalize("NFKC", key).lower()
    kept = [c for c in folded if c.isalnum()]
    return kept == [c for c in _plain(key) if c.isalnum()] and bool(_VALID.fullmatch(_plain(key)))


def _told_apart(key: str) -> str:
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_plain(key)}-{digest}"


def named(path: Path) -> list[Named]:
    """Read a ``submissions.csv`` with columns student, name and, if wanted, submitted.

    Raises SubmissionError with file and line; other columns are allowed and ignored.
    """
    shown = path.name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise SubmissionError("cannot be read as UTF-8 text", where=shown, why=str(fault)) from None
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns = [column.strip() for column in reader.fieldnames or ()]
        rows = [dict(zip(columns, row.values(), strict=False)) for row in reader]
    except csv.Error as fault:
        raise SubmissionError("is no CSV file", where=shown, why=str(fault)) from None
    for column in ("student", "name"):
        if column not in columns:
            raise SubmissionError(
                f"has no column `{column}`",
                where=f"{shown}:1",
                why=nearest(column, columns),
                fix="student,name,submitted is the first line of such a file",
            )
    return _checked(rows, shown)


def _checked(rows: list[dict[str, str | None]], shown: str) -> list[Named]:
    found: dict[str, Named] = {}
    for line, row in enumerate(rows, 2):
        key = (row.get("student") or "").strip()
        if not key:
            raise SubmissionError("no student in this line", where=f"{shown}:{line}: student")
        if key in found:
            raise SubmissionError(f"`{key}` stands in two lines", where=f"{shown}:{line}: student")
        name = (row.get("name") or "").strip() or key
        submitted = (row.get("submitted") or "").strip()
        if submitted and moment(submitted) is None:
            raise SubmissionError(
                f"`{submitted}` is no ISO 8601 time",
                where=f"{shown}:{line}: submitted",
                fix="2027-01-31T23:59+01:00, or leave it empty",
            )
        found[key] = Named(key=key, name=name, submitted=submitted)
    return list(found.values())
