"""What a grading run leaves for people and programs; see ``write``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from paritylab import atomic
from paritylab.errors import SubmissionError
from paritylab.grade.markers import starter
from paritylab.grade.model import Grade, Reveal
from paritylab.grade.outputs import csvs, feedback, instructor, records
from paritylab.grade.outputs.revealing import words_of
from paritylab.grade.outputs.similar import pairs
from paritylab.model import Lab

_SAFE = re.compile(r"(?!\.+$)[a-z0-9._-]{1,200}")


def write(
    grades: Sequence[Grade],
    lab: Lab,
    folder: Path,
    *,
    reveal: Reveal,
    facts: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write every file of a grade folder, each whole or not at all; return their paths.

    For students: ``feedback/<student>.html`` and ``gradescope/<student>/results.json``, and the
    comments in ``moodle.csv``, with hidden values only as ``reveal`` allows. For the instructor:
    ``index.html``, ``grades.csv``, ``canvas.csv``, ``nbgrader.csv``, ``junit.xml``,
    ``grades.json``. ``facts`` tell of the run (engine, isolation, image). Raises SubmissionError
    for a student id that is no safe file name or comes twice, before anything is written.
    """
    _check_names(grades)
    ordered = sorted(grades, key=lambda grade: grade.submission.student)
    about = {
        "lab": lab.slug,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "paritylab": version("paritylab"),
        "reveal": reveal.value,
        **(facts or {}),
    }
    comments = [_comment(grade, reveal) for grade in ordered]
    files: dict[str, str | bytes] = {
        "grades.csv": csvs.plain(ordered),
        "canvas.csv": csvs.canvas(ordered, lab.title),
        "moodle.csv": csvs.moodle(ordered, comments),
        "nbgrader.csv": csvs.nbgrader(ordered, lab.slug),
        "junit.xml": records.junit(ordered, lab.slug),
        "grades.json": records.grades_json(ordered, about),
        "index.html": instructor.page(
            ordered, pairs(ordered, _starters(lab)), reveal=reveal, facts=about
        ),
    }
    paths = [atomic.write(folder / name, content) for name, content in files.items()]
    for grade in ordered:
        student = grade.submission.student
        page = folder / "feedback" / f"{student}.html"
        paths.append(atomic.write(page, feedback.page(grade, reveal)))
        results = folder / "gradescope" / student / "results.json"
        paths.append(atomic.write(results, records.gradescope(grade, reveal)))
    return paths


def _check_names(grades: Sequence[Grade]) -> None:
    seen: set[str] = set()
    for grade in grades:
        student = grade.submission.student
        if not _SAFE.fullmatch(student):
            raise SubmissionError(f"student id {student!r:.80} is no safe file name")
        if student in seen:
            raise SubmissionError(f"student id `{student}` comes twice")
        seen.add(student)


def _starters(lab: Lab) -> dict[str, str]:
    """What students began with, implementation by implementation."""
    sources = {name: one.source for name, one in lab.implementations.items() if one.source}
    return {
        name: starter(path.read_text(encoding="utf-8"), shown=f"labs/{lab.slug}/{path.name}")
        for name, path in sources.items()
    }


def _comment(grade: Grade, reveal: Reveal) -> str:
    """The feedback in a learning platform: a line for each check that was not passed."""
    wrong = [check for check in grade.checks if not check.passed or check.verdict == "forbidden"]
    lines = [
        f"{check.id}: {csvs.number(check.earned)} of {csvs.number(check.points)}. "
        + words_of(check, grade, reveal)
        for check in wrong
    ]
    return "\n".join([*grade.submission.faults, *grade.submission.notes, *lines]) or "All passed."
