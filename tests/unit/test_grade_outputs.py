"""grade.outputs: gradebooks that import, and that no name can break or turn into a program."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from classroom import answer, graded, lab, leaves_at, problem, right
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paritylab.errors import SubmissionError
from paritylab.grade import outputs
from paritylab.grade.model import Check, Grade, Reveal
from paritylab.grade.outputs import csvs, records
from paritylab.html import tidy

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
SPITEFUL = st.text(max_size=20) | st.sampled_from(
    ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", " =1+1", '"; =1', "\x00=1", "李"]
)


@pytest.fixture(scope="module")
def grades() -> list[Grade]:
    """One right, one whose loss parts at step 61 and who was late, one who did not finish."""
    of = lab()
    against = problem(of)
    good = right(against, "pytorch")
    late = {"late": True, "penalty": 0.25, "submitted": "2026-11-20T23:59:00+00:00"}
    return [
        graded("ada", {"pytorch": answer(good)}, of, against, name="Ada Lovelace", seconds=1.25),
        graded(
            "bob", {"pytorch": answer(leaves_at(good, 61))}, of, against, name="李, Bob", **late
        ),
        graded("eve", {"pytorch": answer({}, status="timeout")}, of, against, name="Ève"),
    ]


def rows(text: str) -> list[list[str]]:
    """The file as a spreadsheet reads it."""
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))


def named(text: str) -> list[dict[str, str]]:
    """The rows by their headings."""
    head, *body = rows(text)
    return [dict(zip(head, row, strict=True)) for row in body]


def test_the_plain_file_has_a_row_per_student_and_a_column_per_check(grades: list[Grade]) -> None:
    """Excel needs the mark in front; numbers are numbers."""
    text = csvs.plain(grades)
    assert text.startswith("\ufeff")
    ada, bob, eve = named(text)
    assert (ada["score"], ada["points"], ada["pytorch: loss"]) == ("7", "7", "1")
    assert (bob["score"], bob["raw"], bob["penalty"], bob["late"]) == ("3.75", "5", "0.25", "yes")
    assert (bob["pytorch: loss"], bob["pytorch: w1"], bob["pytorch: b1"]) == ("0", "0", "1")
    assert (eve["name"], eve["score"]) == ("Ève", "0")


def test_canvas_finds_its_columns_and_its_students(grades: list[Grade]) -> None:
    """Header, "Points Possible" row, Canvas's own id where its download told it, no byte mark."""
    known = replace(grades[0].submission, origin="Canvas lovelaceada_4711")
    text = csvs.canvas([replace(grades[0], submission=known), grades[1]], "Train")
    head, possible, ada, bob = rows(text)
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Train"]
    assert text.startswith("Student,")
    assert "Points Possible" in possible[0]
    assert possible[5] == "7"
    assert ada == ["Ada Lovelace", "4711", "", "ada", "", "7"]
    assert bob == ["李, Bob", "", "", "bob", "", "3.75"]


def test_moodle_finds_what_its_worksheet_import_asks_for(grades: list[Grade]) -> None:
    """Identifier, Grade and Last modified (grade) are what Moodle's importer insists on."""
    known = replace(grades[0].submission, origin="Moodle Ada Lovelace_1234")
    text = csvs.moodle([replace(grades[0], submission=known), grades[1]], ["fine", "see loss"])
    ada, bob = named(text)
    assert ada["Identifier"] == "Participant 1234"
    assert ada["Last modified (grade)"] == "-"
    assert (ada["Grade"], ada["Maximum Grade"], ada["Feedback comments"]) == ("7", "7", "fine")
    assert (bob["Identifier"], bob["Username"]) == ("", "bob")


def test_nbgrader_has_its_columns_in_its_order(grades: list[Grade]) -> None:
    """The penalty is in points, and score = raw_score - penalty as nbgrader has it."""
    text = csvs.nbgrader(grades, "train")
    assert text.splitlines()[0] == (
        "assignment,duedate,timestamp,student_id,last_name,first_name,email,raw_score,"
        "late_submission_penalty,score,max_score"
    )
    ada, bob, eve = named(text)
    assert (ada["last_name"], ada["first_name"]) == ("Lovelace", "Ada")
    assert (bob["last_name"], bob["first_name"]) == ("李", "Bob")
    assert (eve["last_name"], eve["first_name"]) == ("Ève", "")
    for row in (ada, bob, eve):
        penalty = float(row["late_submission_penalty"])
        assert float(row["raw_score"]) - penalty == float(row["score"])


def test_gradescope_gets_scores_per_test_and_no_stdout(grades: list[Grade]) -> None:
    """The keys of its specification; what was printed stays with the instructor."""
    found = json.loads(records.gradescope(grades[1], Reveal.FAILED))
    assert found["score"] == 3.75
    assert found["stdout_visibility"] == "hidden"
    loss, _, b1, *_ = found["tests"]
    assert loss == {
        "name": "pytorch: loss",
        "score": 0,
        "max_score": 1,
        "status": "failed",
        "output": loss["output"],
        "output_format": "text",
        "visibility": "visible",
    }
    assert "right for 61 of 176 steps" in loss["output"]
    assert (b1["score"], b1["status"]) == (1, "passed")
    assert "25% of 5 points" in found["output"]


def test_junit_counts_what_failed(grades: list[Grade]) -> None:
    """A suite per student, a case per check, a failure with its words and values."""
    root = ElementTree.fromstring(records.junit(grades, "train"))
    suites = {suite.get("name"): suite for suite in root}
    assert {name: s.get("failures") for name, s in suites.items()} == {
        "ada": "0", "bob": "2", "eve": "7",
    }  # fmt: skip
    failure = suites["bob"].find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "right for 61 of 176 steps, then it parts"
    assert "expected 0." in (failure.text or "")


def test_grades_json_has_everything_but_sources_and_curves(grades: list[Grade]) -> None:
    """Programs get versioned strict JSON; the programs of students are digests there."""
    handed = replace(grades[0].submission, sources={"pytorch": "secret = 1"})
    data = records.grades_json([replace(grades[0], submission=handed)], {"lab": "train"})
    assert b"secret" not in data
    found = json.loads(data, parse_constant=pytest.fail)
    assert (found["schema_version"], found["lab"]) == (1, "train")
    (only,) = found["grades"]
    assert len(only["submission"]["sources"]["pytorch"]) == 64
    assert {check["id"] for check in only["checks"]} == {c.id for c in grades[0].checks}


@settings(max_examples=60)
@given(SPITEFUL, SPITEFUL, SPITEFUL)
@example("=1", "a\r\nb,c\"d;'", "\ud800\x0b")
def test_any_text_survives_every_format_and_runs_in_none(
    name: str, words: str, printed: str
) -> None:
    """Files parse back to the same number of cells, and no cell begins like a formula."""
    grade = spoken(name, words, printed)
    for text in (
        csvs.plain([grade]), csvs.canvas([grade], name), csvs.moodle([grade], [words]),
        csvs.nbgrader([grade], name),
    ):  # fmt: skip
        text.encode()
        head, *body = rows(text)
        assert all(len(row) == len(head) for row in body)
        for cell in (cell for row in (head, *body) for cell in row):
            assert cell == "-" or not cell.lstrip().startswith(FORMULAS) or len(cell) == 1, cell
            assert not cell.startswith(("\t", "\r", "\n")) or not cell.strip(), cell
    for data in (records.gradescope(grade, Reveal.ALL), records.grades_json([grade], {"l": name})):
        json.loads(data.decode(), parse_constant=pytest.fail)
    (test,) = json.loads(records.gradescope(grade, Reveal.ALL))["tests"]
    assert test["name"] == tidy(f"x: {name}")
    root = ElementTree.fromstring(records.junit([grade], name))
    case = root.find("testsuite/testcase")
    assert case is not None
    # XML attributes have one kind of white space.
    assert "".join((case.get("name") or "").split()) == "".join(tidy(f"x: {name}").split())


def spoken(name: str, words: str, printed: str) -> Grade:
    """A grade with these texts wherever a student can put one."""
    check = Check(
        id=f"x: {name}", implementation="x", kind="output", output=name, points=2, earned=0.5,
        verdict="partial", words=words, hidden=printed,
    )  # fmt: skip
    handed: dict[str, Any] = {"name": name, "origin": printed, "notes": (words,), "faults": (name,)}
    grade = graded("s1", {}, lab_once(), problem_once(), **handed)
    return replace(
        grade, checks=(check,), raw=0.5, score=0.5, points=2.0, stdout=printed, stderr=words,
        suspicious=(words,), unstable=(check.id,), title=name,
    )  # fmt: skip


_KEPT: dict[str, Any] = {}


def lab_once() -> Any:
    """The lab, read once for all examples."""
    return _KEPT.setdefault("lab", _KEPT.get("lab") or lab())


def problem_once() -> Any:
    """Its problem, solved once for all examples."""
    return _KEPT.setdefault("problem", _KEPT.get("problem") or problem(lab_once()))


def test_a_grade_folder_is_complete(grades: list[Grade], tmp_path: Path) -> None:
    """Every file of the plan, and nothing half-written beside them."""
    paths = outputs.write(grades, lab(), tmp_path, reveal=Reveal.NONE, facts={"engine": "docker"})
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {str(path.relative_to(tmp_path)) for path in paths}
    assert found == {
        *("grades.csv", "canvas.csv", "moodle.csv", "nbgrader.csv"),
        *("grades.json", "junit.xml", "index.html"),
        *(f"feedback/{name}.html" for name in ("ada", "bob", "eve")),
        *(f"gradescope/{name}/results.json" for name in ("ada", "bob", "eve")),
    }


@pytest.mark.parametrize("student", ["..", ".", "a/b", "../x", "A", "", "a\x00", "x" * 201])
def test_a_student_id_that_is_no_file_name_writes_nothing(
    grades: list[Grade], tmp_path: Path, student: str
) -> None:
    """An id comes from strangers' files: it must not lead out of the folder."""
    handed = replace(grades[0].submission, student=student)
    with pytest.raises(SubmissionError, match="no safe file name"):
        outputs.write([replace(grades[0], submission=handed)], lab(), tmp_path, reveal=Reveal.NONE)
    assert not list(tmp_path.iterdir())


def test_two_grades_of_one_student_are_refused(grades: list[Grade], tmp_path: Path) -> None:
    """One would overwrite the other's page."""
    with pytest.raises(SubmissionError, match="comes twice"):
        outputs.write([grades[0], grades[0]], lab(), tmp_path, reveal=Reveal.NONE)
