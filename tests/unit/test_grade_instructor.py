"""grade.outputs.instructor: a class at a glance."""

import re
from dataclasses import replace

import pytest
from classroom import SEED, answer, graded, lab, leaves_at, problem, right
from markup import elements, loads, parsed, text

from paritylab.grade.model import Grade, Reveal
from paritylab.grade.outputs.instructor import hardest, page
from paritylab.grade.outputs.similar import Pair

HOSTILE = """</td></tr></table><script>alert(1)</script>"' onmouseover=alert(1) &amp;"""


@pytest.fixture(scope="module")
def grades() -> list[Grade]:
    """Four students: right, parted, late and parted, timed out."""
    of = lab()
    against = problem(of)
    good = right(against, "pytorch")
    sources = {"sources": {"pytorch": "x = 1 < 2\n"}}
    late = {"late": True, "penalty": 0.5, "submitted": "2026-11-21T00:10:00+00:00"}
    parted = {"pytorch": answer(leaves_at(good, 3))}
    return [
        graded("ada", {"pytorch": answer(good)}, of, against, name="Ada", **sources),
        graded("bob", parted, of, against, name="Bob", unstable=("pytorch: loss",), **sources),
        graded("cid", parted, of, against, suspicious=("opened a socket",), **late, **sources),
        graded(
            "eve", {"pytorch": answer({}, status="timeout")}, of, against, **sources,
            faults=("not UTF-8",), facts={"ungraded": ["the engine was gone"]},
        ),
    ]  # fmt: skip


ALIKE = Pair(
    first="ada", second="bob", implementation="pytorch", share=0.83, pieces=31, verbatim=False
)


def made(grades: list[Grade], said: str = "docker") -> str:
    """The page with one similar pair."""
    return page(grades, [ALIKE], reveal=Reveal.NONE, facts={"engine": said, "isolation": [said]})


def test_the_page_tells_what_needs_an_eye(grades: list[Grade]) -> None:
    """Median, hardest checks, unstable, suspicious, unread, ungraded, late, similar, seeds."""
    shown = " ".join(text(made(grades)).split())
    for part in (
        "4 submissions, median 3.75 of 7 points", "full marks 1", "no points 1",
        "cid: opened a socket", "bob: pytorch: loss", "eve: not UTF-8", "eve: the engine was gone",
        "2026-11-21T00:10:00+00:00 50 % 5 2.5", "83 % 31", str(SEED), "docker", "x = 1 < 2",
        "students may see values none", "2 diverged, 1 timeout",
    ):  # fmt: skip
        assert part in shown, part


def test_the_hardest_check_comes_first(grades: list[Grade]) -> None:
    """Ordered by the share of points that was earned, with what went wrong."""
    found = hardest(grades)
    assert {one.id for one in found[:2]} == {"pytorch: loss", "pytorch: w1"}
    assert (found[0].share, found[0].passed, found[0].total) == (0.25, 1, 4)
    assert found[0].reason == "2 diverged, 1 timeout"
    assert [one.share for one in found] == sorted(one.share for one in found)


def test_every_student_is_linked_to_a_page_in_the_folder(grades: list[Grade]) -> None:
    """Links are relative: the folder can be moved."""
    links = {link for link in loads(made(grades)) if not link.startswith("#")}
    assert links == {f"feedback/{name}.html" for name in ("ada", "bob", "cid", "eve")}


def test_the_table_of_students_can_be_sorted_by_numbers(grades: list[Grade]) -> None:
    """Cells that are not plain numbers carry the key that the script sorts by."""
    tree = parsed(made(grades))
    (table,) = [t for t in tree.iter("table") if t.get("id") == "everyone"]
    assert "sortable" in (table.get("class") or "")
    keys = [cell.get("data-key") for row in table.iter("tr") for cell in list(row)[2:3]]
    assert [float(key) for key in keys if key] == [1.0, 5 / 7, 2.5 / 7, 0.0]


def test_hostile_names_and_code_make_no_element(grades: list[Grade]) -> None:
    """The page has the elements of the same class with harmless names."""

    def called(said: str) -> list[Grade]:
        return [
            replace(
                grade,
                title=said,
                suspicious=(said,),
                unstable=(said,),
                facts={"ungraded": [said]},
                submission=replace(
                    grade.submission,
                    name=said,
                    sources={"pytorch": said},
                    faults=(said,),
                    submitted=said,
                ),
                checks=tuple(
                    replace(check, id=f"{said} {check.output}", words=said)
                    for check in grade.checks
                ),
            )
            for grade in grades
        ]

    assert elements(made(called(HOSTILE), HOSTILE)) == elements(made(called("Ann"), "docker"))


def test_a_class_in_which_nobody_handed_in_is_a_page_too() -> None:
    """No statistics of nothing."""
    empty = page([], [], reveal=Reveal.ALL, facts={})
    assert "Nothing was handed in" in text(empty)
    assert not re.search(r"\bnan\b", text(empty))
