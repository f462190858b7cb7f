"""Gradebooks as CSV: plain, and as Canvas, Moodle and nbgrader read it.

Columns are those of the importers: Canvas's ``gradebook_importer.rb``, Moodle's offline grading
worksheet and nbgrader's ``CsvExportPlugin``. Every text is tidied and disarmed: a spreadsheet never
takes a student's name for a formula.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO

from paritylab.grade.model import Grade
from paritylab.html import tidy

BOM = "\ufeff"
"""Without it Excel takes UTF-8 for the code page of its country."""
_FORMULA = re.compile(r"^[\s\ufeff\ufffd]*[=+\-@\uff1d\uff0b\uff0d\uff20].|^[\t\r\n]", re.DOTALL)
# Where a platform's own download was read, the origin ends with its number for the student.
_CANVAS = re.compile(r"^Canvas .*_(\d+)$", re.DOTALL)
_MOODLE = re.compile(r"^Moodle .*_(\d+)$", re.DOTALL)

Row = Sequence[str]


def disarmed(text: str) -> str:
    """Return ``text`` so that no spreadsheet runs it: a formula gets an apostrophe in front.

    What makes a formula is OWASP's list for CSV injection, after white space and in full width too.
    """
    clean = tidy(text).replace("\x00", "")
    return f"'{clean}" if _FORMULA.match(clean) else clean


def number(value: float) -> str:
    """A score with at most four digits after the point, none that is not needed."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def plain(grades: Sequence[Grade]) -> str:
    """``grades.csv``: one row per student, one column per check; for spreadsheets."""
    checks = list(dict.fromkeys(check.id for grade in grades for check in grade.checks))
    head = ["student", "name", "score", "points", "raw", "late", "penalty", "submitted"]
    tail = ["seconds", "peak_memory_mb", "unstable", "suspicious", "faults", "notes", "origin"]
    rows = []
    for grade in grades:
        handed = grade.submission
        earned = {check.id: number(check.earned) for check in grade.checks}
        memory = grade.peak_memory_mb
        rows.append(
            [
                *(handed.student, handed.name),
                *(number(grade.score), number(grade.points), number(grade.raw)),
                *("yes" if handed.late else "", number(handed.penalty), handed.submitted),
                *(earned.get(check, "") for check in checks),
                *(f"{grade.seconds:.3f}", "" if memory is None else f"{memory:.1f}"),
                *(_joined(grade.unstable), _joined(grade.suspicious)),
                *(_joined(handed.faults), _joined(handed.notes), handed.origin),
            ]
        )
    return BOM + _table([*head, *checks, *tail], rows)


def canvas(grades: Sequence[Grade], assignment: str) -> str:
    """A file for Canvas's "Import grades".

    Canvas finds a student by its own id (told by the file names of its own download), else by the
    login, else by the name. No byte order mark: Canvas's parser would stumble over it.
    """
    most = max((grade.points for grade in grades), default=0.0)
    rows = [
        [
            grade.submission.name,
            _first(_CANVAS, grade),
            "",
            grade.submission.student,
            "",
            number(grade.score),
        ]
        for grade in grades
    ]
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", assignment]
    return _table(head, [["    Points Possible", "", "", "", "", number(most)], *rows])


def moodle(grades: Sequence[Grade], words: Sequence[str]) -> str:
    """A file for Moodle: "Upload grading worksheet", and "Import grades" from CSV.

    ``words`` are the feedback comments. The identifier is known where the submissions came from
    Moodle's own download; the gradebook's import maps ``Username`` or ``ID number`` instead.
    """
    head = [
        *("Identifier", "Full name", "Username", "ID number", "Status", "Grade", "Maximum Grade"),
        *("Grade can be changed", "Last modified (grade)", "Feedback comments"),
    ]
    rows = []
    for grade, comment in zip(grades, words, strict=True):
        handed, participant = grade.submission, _first(_MOODLE, grade)
        rows.append(
            [
                f"Participant {participant}" if participant else "",
                *(handed.name, handed.student, handed.student),
                "Submitted for grading - Late" if handed.late else "Submitted for grading",
                *(number(grade.score), number(grade.points), "Yes", "-", comment),
            ]
        )
    return BOM + _table(head, rows)


def nbgrader(grades: Sequence[Grade], assignment: str) -> str:
    """The columns of ``nbgrader export``; the penalty is in points, as there."""
    head = [
        *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
        *("raw_score", "late_submission_penalty", "score", "max_score"),
    ]
    rows = [
        [
            *(assignment, "", grade.submission.submitted, grade.submission.student),
            *_names(grade.submission.name),
            *("", number(grade.raw), number(max(0.0, grade.raw - grade.score))),
            *(number(grade.score), number(grade.points)),
        ]
        for grade in grades
    ]
    return _table(head, rows)


def _names(name: str) -> tuple[str, str]:
    """Last and first name: split at a comma, else at the last space; one word is the last name."""
    last, comma, first = name.partition(",")
    if comma:
        return last.strip(), first.strip()
    first, _, last = name.strip().rpartition(" ")
    return last, first.strip()


def _first(pattern: re.Pattern[str], grade: Grade) -> str:
    found = pattern.search(grade.submission.origin)
    return found[1] if found else ""


def _joined(sentences: Iterable[str]) -> str:
    return "; ".join(sentences)


def _table(head: Row, rows: Iterable[Row]) -> str:
    """CSV (RFC 4180). Every field below the head in quotes: no separator splits a name."""
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow([disarmed(field) for field in head])
    body = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    body.writerows([[disarmed(field) for field in row] for row in rows])
    return text.getvalue()
