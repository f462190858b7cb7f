"""A folder of submissions -> what each student handed in, as text; nothing of it ever runs here.

Whatever is wrong with a submission is a sentence in its ``faults``; only what is wrong with the
folder as a whole, or with the instructor's own files, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from paritylab.errors import SubmissionError, nearest
from paritylab.grade import archives, students
from paritylab.grade.layouts import CODE, FOREIGN, Attempt, attempts
from paritylab.grade.members import Listing, Member, cap_of, file_member, folder_listing, shown
from paritylab.grade.model import Submission
from paritylab.grade.notebooks import source_of
from paritylab.grade.parsing import UnreadableError
from paritylab.grade.rules import AttemptRule, moment
from paritylab.grade.texts import decoded
from paritylab.model import Lab

ARCHIVES_CAP = 3
"""Archives that are opened inside a student's folder."""
SENTENCES_CAP = 20
EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(kw_only=True)
class Handed:
    """What was found in one attempt: implementation -> source, and sentences about it."""

    sources: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read(
    path: Path,
    lab: Lab,
    *,
    implementations: tuple[str, ...],
    names: Path | None,
    rule: AttemptRule,
) -> list[Submission]:
    """Return every student's submission, sorted by id.

    ``names`` is a ``submissions.csv`` (student, name, submitted): students in it of whom nothing
    was found get a submission with a fault. Raises SubmissionError for a folder, a metadata file or
    a CSV file that cannot be read, and for an implementation that the lab does not grade.
    """
    _check(lab, implementations)
    _, found = attempts(path)
    by_student: dict[str, list[Attempt]] = {}
    for attempt in found:
        by_student.setdefault(attempt.key, []).append(attempt)
    rows = students.named(names) if names else []
    known = students.ids([*by_student, *(row.key for row in rows if row.key not in by_student)])
    rows_of = _matched(rows, by_student, known)
    submissions = [
        _submission(known[key], several, rows_of.get(key), implementations, rule)
        for key, several in by_student.items()
    ]
    taken = {row.key for row in rows_of.values()}
    missing = [_nothing(known[row.key], row) for row in rows if row.key not in taken]
    if not submissions and not missing:
        raise SubmissionError(
            f"{path} holds no submission",
            why="looked for folders, archives, .py and .ipynb files",
            fix="one folder or archive per student, or an export of the learning platform",
        )
    return sorted([*submissions, *missing], key=lambda one: one.student)


def in_folder(folder: Path, implementations: tuple[str, ...]) -> Handed:
    """Return what one folder holds, by the rules that hold for everybody's submissions."""
    whole = Attempt(key="", name="", origin=folder.name, items=(("", folder),))
    return _handed(whole, implementations)


def _check(lab: Lab, implementations: tuple[str, ...]) -> None:
    if lab.rubric is None:
        raise SubmissionError(
            f"{lab.slug} is not graded", where=f"labs/{lab.slug}/lab.toml: grading",
            why="the table is missing",
        )  # fmt: skip
    for name in implementations:
        if name not in lab.rubric.implementations:
            raise SubmissionError(
                f"{lab.slug} grades no `{name}`", why=nearest(name, lab.rubric.implementations)
            )


def _matched(
    rows: Sequence[students.Named], keys: Iterable[str], known: Mapping[str, str]
) -> dict[str, students.Named]:
    """Rows by the platform's key; a row may name the key or the id."""
    by_name = {row.key: row for row in rows}
    return {
        key: by_name.get(key) or by_name[known[key]]
        for key in keys
        if key in by_name or known[key] in by_name
    }


def _nothing(student: str, row: students.Named) -> Submission:
    return Submission(
        student=student,
        name=shown(row.name, 200),
        origin="",
        faults=("nothing was handed in, or it was not found",),
    )


def _submission(
    student: str,
    several: Sequence[Attempt],
    row: students.Named | None,
    implementations: tuple[str, ...],
    rule: AttemptRule,
) -> Submission:
    attempt = _chosen(several, rule)
    when = moment((row.submitted if row else "") or attempt.submitted)
    late, penalty = rule.lateness(when, marked=attempt.late)
    notes = list(attempt.notes)
    if len(several) > 1:
        notes.append(
            f"{len(several)} attempts; the {rule.attempt} one counts: {shown(attempt.origin)}"
        )
    try:
        handed = _handed(attempt, implementations)
    except Exception as fault:  # the boundary to strangers' files: one student, never the run
        handed = Handed(faults=[f"cannot be read: {type(fault).__name__}: {shown(str(fault))}"])
    return Submission(
        student=student,
        name=shown(row.name if row else attempt.name, 200),
        origin=shown(attempt.origin, 200),
        sources=handed.sources,
        notes=_short([*notes, *handed.notes]),
        faults=_short(handed.faults),
        submitted=when.isoformat() if when else "",
        late=late,
        penalty=penalty,
    )


def _chosen(several: Sequence[Attempt], rule: AttemptRule) -> Attempt:
    ordered = sorted(several, key=lambda a: (moment(a.submitted) or EARLIEST, a.order, a.origin))
    return ordered[0] if rule.attempt == "first" else ordered[-1]


def _short(sentences: Sequence[str]) -> tuple[str, ...]:
    if len(sentences) <= SENTENCES_CAP:
        return tuple(sentences)
    left = len(sentences) - SENTENCES_CAP + 1
    return (*sentences[: SENTENCES_CAP - 1], f"and {left} more of that kind")


def _handed(attempt: Attempt, implementations: tuple[str, ...]) -> Handed:
    listing = _listing(attempt, _wanted(implementations))
    handed = Handed(notes=list(listing.notes), faults=list(listing.faults))
    for implementation in implementations:
        member = _pick(implementation, listing, handed, alone=len(implementations) == 1)
        if member is None:
            continue
        try:
            handed.sources[implementation] = _source(member, handed)
        except UnreadableError as fault:
            handed.faults.append(f"{implementation}: {fault}")
    return handed


def _wanted(implementations: tuple[str, ...]) -> Callable[[str], bool]:
    """Which members of an archive are kept: those that may be a submission's source."""
    names = {f"{name}{ending}" for name in implementations for ending in CODE}

    def wanted(path: str) -> bool:
        name = path.replace("\\", "/").rsplit("/", 1)[-1].lower()
        return name in names or (len(implementations) == 1 and name.endswith(CODE))

    return wanted


def _listing(attempt: Attempt, wanted: Callable[[str], bool]) -> Listing:
    total = Listing()
    for name, path in attempt.items:
        if path.is_dir() and not path.is_symlink():
            _extend(total, _with_archives(folder_listing(path), path, wanted))
        elif archives.is_archive(name):
            found = archives.listing(path, wanted)
            inner = [m for m in found.members if archives.is_archive(m.path)]
            if inner and not any(wanted(m.path) for m in found.members):
                found.faults.append(
                    f"`{shown(inner[0].path)}` is an archive inside an archive, which is not opened"
                )
            _extend(total, found)
        elif name.lower().endswith(FOREIGN):
            total.faults.append(f"{shown(name)}: only zip and tar archives are read")
        else:
            member = file_member(path, name)
            total.members.append(member)
            if member.fault and not wanted(name):
                total.faults.append(f"`{shown(name)}` {member.fault}")
    return total


def _with_archives(found: Listing, folder: Path, wanted: Callable[[str], bool]) -> Listing:
    """A folder's files; if none is wanted, those of the archives in it."""
    if any(wanted(member.path) for member in found.members):
        return found
    inner = [m for m in found.members if archives.is_archive(m.path) and not m.fault]
    for member in inner[:ARCHIVES_CAP]:
        _extend(found, archives.listing(folder / member.path, wanted))
    return found


def _extend(total: Listing, more: Listing) -> None:
    total.members += more.members
    total.notes += more.notes
    total.faults += more.faults


def _pick(implementation: str, listing: Listing, handed: Handed, *, alone: bool) -> Member | None:
    """The file of an implementation: the least deep one, ``.py`` before ``.ipynb``."""
    for ending in CODE:
        name = f"{implementation}{ending}"
        same = [m for m in listing.members if m.name.lower() == name]
        if not same:
            continue
        top = min(m.depth for m in same)
        best = [m for m in same if m.depth == top]
        exact = [m for m in best if m.name == name]
        best = exact if len(exact) == 1 else best
        if len({m.path for m in best}) > 1:
            paths = ", ".join(f"`{shown(m.path)}`" for m in best[:3])
            handed.faults.append(f"{paths}: which one counts cannot be told; hand in one {name}")
            return None
        chosen = next((m for m in best if m.fault), best[0])
        _note_others(implementation, chosen, listing, handed)
        return chosen
    code = [m for m in listing.members if m.name.lower().endswith(CODE)]
    if alone and len(code) == 1:
        handed.notes.append(f"`{shown(code[0].path)}` was taken as {implementation}.py")
        return code[0]
    if not listing.faults:  # else it is told already why nothing was found
        names = ", ".join(f"`{shown(m.path)}`" for m in listing.members[:5]) or "no file"
        handed.faults.append(f"{implementation}.py (or .ipynb) is missing; found {names}")
    return None


def _note_others(implementation: str, best: Member, listing: Listing, handed: Handed) -> None:
    names = {f"{implementation}{ending}" for ending in CODE}
    others = [m for m in listing.members if m.name.lower() in names and m.path != best.path]
    if others:
        handed.notes.append(
            f"`{shown(best.path)}` counts; left aside: "
            + ", ".join(f"`{shown(m.path)}`" for m in others[:3])
        )


def _source(member: Member, handed: Handed) -> str:
    if member.fault:
        raise UnreadableError(f"`{shown(member.path)}` {member.fault}")
    name = shown(member.name)
    data = member.read(cap_of(member.name))
    notebook = member.name.lower().endswith(".ipynb")
    text, notes = (source_of if notebook else decoded)(data, shown=name)
    if not text.strip():
        raise UnreadableError(f"{name} is empty")
    handed.notes += notes
    return text
