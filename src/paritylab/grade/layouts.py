"""Folders as learning platforms export them -> attempts of students.

| layout | told by | a student's attempt |
|---|---|---|
| Gradescope | ``submission_metadata.yml`` | ``submission_123/``; who and when from the file |
| nbgrader | ``submitted/``, or ``timestamp.txt`` two folders down | ``STUDENT/ASSIGNMENT/`` |
| Moodle | ``NAME_123_assignsubmission_file_`` | that folder, or files that begin so |
| Canvas | ``name_123_456_file.py``, ``name_LATE_123_456_file.py`` | files of one name and number |
| plain | anything else | a folder, an archive, or ``STUDENT_pytorch.py`` |
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paritylab.errors import SubmissionError
from paritylab.grade.archives import is_archive, stem
from paritylab.grade.members import read_file
from paritylab.grade.parsing import UnreadableError

METADATA_CAP = 64 << 20
CODE = (".py", ".ipynb")
FOREIGN = (".rar", ".7z", ".gz", ".bz2", ".xz", ".zst")
"""Endings of archives that are not read; whoever sends one is told so."""
_MOODLE = re.compile(
    r"^(?P<name>.+)_(?P<number>\d+)_assignsubmission_(?P<kind>[a-z]+)_?(?P<file>.*)$"
)
_CANVAS = re.compile(
    r"^(?P<name>[^_]+)_(?P<late>LATE_)?(?P<user>\d+)_(?P<upload>\d+)_(?P<file>.+)$"
)
_LOOSE = re.compile(r"^(?P<student>.+?)[-_. ](?P<file>(?:pytorch|tf1|tf2)\.(?:py|ipynb))$", re.I)
_AGAIN = re.compile(r"-\d+(?=\.[^.]+$)")
"""What Canvas adds to a file's name when it is handed in again."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What lies in a folder for one student: files, folders or archives with the names they had.

    ``key`` is what the platform calls the student, ``name`` what people do; ``submitted`` is as the
    platform writes it, or empty; ``order`` sorts attempts whose time is unknown.
    """

    key: str
    name: str
    origin: str
    items: tuple[tuple[str, Path], ...]
    submitted: str = ""
    late: bool = False
    order: str = ""
    notes: tuple[str, ...] = ()


def attempts(root: Path) -> tuple[str, list[Attempt]]:
    """Return the layout's name and the attempts of a folder, sorted.

    Raises SubmissionError where there is no such folder or its metadata cannot be read.
    """
    if not root.is_dir():
        raise SubmissionError(
            f"{root} is no folder",
            why="an archive of everybody's submissions" if is_archive(root.name) else None,
            fix="unpack it first; archives inside it may stay" if is_archive(root.name) else None,
        )
    entries = _entries(root)
    for name, recognised, read in _LAYOUTS:
        place = recognised(root, entries)
        if place is not None:
            found = read(place, _entries(place))
            return name, sorted(found, key=lambda attempt: (attempt.key, attempt.order))
    raise SubmissionError(  # pragma: no cover - the plain layout takes everything
        f"{root} cannot be read"
    )


def _entries(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as fault:
        raise SubmissionError(f"{folder} cannot be read", why=str(fault.strerror)) from None
    return sorted(found, key=lambda path: path.name)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _gradescope_place(root: Path, entries: list[Path]) -> Path | None:
    """The folder of the metadata: this one, or the only one inside it."""
    places = [root, *entries] if len(entries) == 1 else [root]
    return next((p for p in places if (p / "submission_metadata.yml").is_file()), None)


def _gradescope(root: Path, _: list[Path]) -> Iterable[Attempt]:
    document = _metadata(root / "submission_metadata.yml")
    for folder, told in document.items():
        facts = told if isinstance(told, dict) else {}
        people = facts.get(":submitters")
        members = [p for p in people if isinstance(p, dict)] if isinstance(people, list) else []
        names = [str(p.get(":name") or p.get(":email") or folder) for p in members]
        for person in members or [{}]:
            key = person.get(":sid") or person.get(":email") or person.get(":name") or folder
            group = f"handed in together by {', '.join(names)}" if len(members) > 1 else ""
            path = root / Path(str(folder)).name  # a name from a file is no path
            yield Attempt(
                key=str(key),
                name=str(person.get(":name") or key),
                origin=f"Gradescope {folder}",
                items=(("", path),),
                submitted=str(facts.get(":created_at") or ""),
                order=str(folder),
                notes=(group,) if group else (),
            )


def _metadata(path: Path) -> dict[Any, Any]:
    # YAML is Gradescope's; the loader is the safe one, in C where it is there.
    import yaml  # noqa: PLC0415 - only this layout needs it

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(read_file(path, METADATA_CAP), Loader=loader)  # noqa: S506
    except (yaml.YAMLError, UnreadableError, ValueError, RecursionError) as fault:
        why = " ".join(str(fault).split())[:200]
        raise SubmissionError("cannot be read as YAML", where=path.name, why=why) from None
    if not isinstance(document, dict):
        raise SubmissionError(
            "holds no submissions", where=path.name, fix="export the submissions again"
        )
    return document


def _nbgrader_place(root: Path, entries: list[Path]) -> Path | None:
    for place in (root / "submitted", root):
        if not _is_folder(place):
            continue
        students = (path for path in (entries if place == root else _entries(place)))
        if any(_stamped(path) for path in students):
            return place
    return None


def _stamped(student: Path) -> bool:
    try:
        return _is_folder(student) and any(
            (path / "timestamp.txt").is_file() for path in _entries(student) if _is_folder(path)
        )
    except (SubmissionError, OSError):
        return False  # told when that student's folder is read


def _nbgrader(_: Path, entries: list[Path]) -> Iterable[Attempt]:
    for student in entries:
        if not _stamped(student):
            yield from _plain(Path(), [student])
            continue
        for assignment in _entries(student):
            if _is_folder(assignment):
                yield Attempt(
                    key=student.name,
                    name=student.name,
                    origin=f"nbgrader {student.name}/{assignment.name}",
                    items=(("", assignment),),
                    submitted=_timestamp(assignment / "timestamp.txt"),
                    order=assignment.name,
                )


def _timestamp(path: Path) -> str:
    try:
        return read_file(path, 1000).decode("ascii").strip()
    except (UnreadableError, UnicodeDecodeError):
        return ""


def _moodle_place(root: Path, entries: list[Path]) -> Path | None:
    return root if any(_MOODLE.match(path.name) for path in entries) else None


def _moodle(_: Path, entries: list[Path]) -> Iterable[Attempt]:
    groups: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    rest = []
    for path in entries:
        match = _MOODLE.match(unicodedata.normalize("NFC", path.name))
        if match is None:
            rest.append(path)
        elif match["kind"] == "file":
            file = match["file"] if not _is_folder(path) else ""
            groups.setdefault((match["name"], match["number"]), []).append((file, path))
    for (name, number), items in groups.items():
        yield Attempt(
            key=f"{name} {number}",
            name=name,
            origin=f"Moodle {name}_{number}",
            items=tuple(items),
        )
    yield from _plain(Path(), rest)


def _canvas_place(root: Path, entries: list[Path]) -> Path | None:
    return root if any(_CANVAS.match(p.name) and not p.is_dir() for p in entries) else None


def _canvas(_: Path, entries: list[Path]) -> Iterable[Attempt]:
    # student -> file's own name -> number of the upload and path: the last upload counts
    groups: dict[tuple[str, str], dict[str, tuple[int, Path]]] = {}
    late: set[tuple[str, str]] = set()
    rest = []
    for path in entries:
        match = _CANVAS.match(path.name)
        if match is None:
            rest.append(path)
            continue
        student = match["name"], match["user"]
        late |= {student} if match["late"] else set()
        files, file = groups.setdefault(student, {}), _AGAIN.sub("", match["file"])
        upload = int(match["upload"][:30]), path
        files[file] = max(files.get(file, upload), upload)
    for (name, user), files in groups.items():
        yield Attempt(
            key=f"{name}-{user}",
            name=name,
            origin=f"Canvas {name}_{user}",
            items=tuple((file, path) for file, (_, path) in sorted(files.items())),
            late=(name, user) in late,
        )
    yield from _plain(Path(), rest)


def _plain_place(root: Path, _: list[Path]) -> Path | None:
    return root


def _plain(_: Path, entries: list[Path]) -> Iterable[Attempt]:
    loose: dict[str, list[tuple[str, Path]]] = {}
    for path in entries:
        name = path.name
        match = _LOOSE.match(name)
        if _is_folder(path):
            yield _one(name, path, "")
        elif is_archive(name):
            yield _one(stem(name), path, name)
        elif match:
            loose.setdefault(match["student"], []).append((match["file"], path))
        elif name.lower().endswith(CODE):
            loose.setdefault(Path(name).stem, []).append((name, path))
        elif name.lower().endswith(FOREIGN) or path.is_symlink() or not path.is_file():
            yield _one(Path(name).stem, path, name)  # what is wrong with it is told when it is read
    for student, items in loose.items():
        origin = ", ".join(path.name for _, path in items)
        yield Attempt(key=student, name=student, origin=origin, items=tuple(items), order=origin)


def _one(key: str, path: Path, name: str) -> Attempt:
    return Attempt(key=key, name=key, origin=path.name, items=((name, path),), order=path.name)


_LAYOUTS: tuple[
    tuple[
        str,
        Callable[[Path, list[Path]], Path | None],
        Callable[[Path, list[Path]], Iterable[Attempt]],
    ],
    ...,
] = (
    ("Gradescope", _gradescope_place, _gradescope),
    ("nbgrader", _nbgrader_place, _nbgrader),
    ("Moodle", _moodle_place, _moodle),
    ("Canvas", _canvas_place, _canvas),
    ("plain", _plain_place, _plain),
)
