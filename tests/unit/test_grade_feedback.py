"""grade.outputs.feedback: pages that help, and give away nothing that is to stay hidden."""

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from classroom import SEED, answer, graded, lab, leaves_at, problem, right
from hypothesis import given, settings
from hypothesis import strategies as st
from markup import elements, loads, text

from paritylab.grade import outputs
from paritylab.grade.model import Check, Curve, Grade, Reveal, Submission
from paritylab.grade.outputs import feedback, records

STEP = 61
HOSTILE = (
    """</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>"' &amp; \x1b[31m"""
)


@pytest.fixture(scope="module")
def grade() -> Grade:
    """A loss that parts at step 61 and wrong w1; the rest is right; every value was printed."""
    of = lab()
    against = problem(of)
    wrong = leaves_at(right(against, "pytorch"), STEP)
    said = "\n".join(f"{name} = {np.asarray(value).tolist()}" for name, value in wrong.items())
    return graded(
        "ada", {"pytorch": answer(wrong)}, of, against,
        name="Ada Lovelace", stdout=said, stderr="a warning", seconds=1.5, peak_memory_mb=212.25,
        notes=("cell 3: the magic `%time` was dropped",), faults=("tf2.py: not UTF-8",),
        late=True, penalty=0.1, submitted="2026-11-20T23:59:00+00:00",
    )  # fmt: skip


def renderings(values: object) -> Iterator[str]:
    """Ways in which a number could stand on a page: every digit, float32's, rounded."""
    for value in np.asarray(values, dtype=np.float64).ravel():
        yield from (repr(float(value)), str(np.float32(value)), f"{value:.6g}", f"{value:.4e}")
        yield f"{value:.5f}"


def hidden_values(grade: Grade, *, passed: bool | None = None) -> set[str]:
    """Every rendering of every expected and computed value (of checks that passed, or did not)."""
    against = problem(lab())
    wrong = leaves_at(right(against, "pytorch"), STEP)
    found: set[str] = set()
    for check in grade.checks:
        if passed is None or check.passed is passed:
            found |= set(renderings(against.expected["pytorch"][check.output]))
            found |= set(renderings(wrong[check.output]))
            if check.divergence:
                found |= {check.divergence.expected, check.divergence.got}
    return {one for one in found if len(one.strip("-0.")) >= 4}


def student_files(grade: Grade, reveal: Reveal) -> dict[str, str]:
    """Everything of a grade folder that a student gets to see."""
    return {
        "feedback": feedback.page(grade, reveal),
        "gradescope": records.gradescope(grade, reveal).decode(),
        "moodle": outputs._comment(grade, reveal),
    }


def test_nothing_hidden_is_in_any_student_file(grade: Grade) -> None:
    """With `none`, no expected value, no computed one, no seed, no curve, nothing printed."""
    secrets = hidden_values(grade)
    assert len(secrets) > 1000
    for name, page in student_files(grade, Reveal.NONE).items():
        leaked = [secret for secret in secrets if secret in page]
        assert not leaked, (name, leaked[:5])
        assert str(SEED) not in page
        assert "<svg" not in page
        assert "a warning" not in page


def test_with_failed_the_values_of_right_checks_stay_hidden(grade: Grade) -> None:
    """The student sees the numbers of what was wrong, and of nothing else; no prints, no seed."""
    theirs = hidden_values(grade, passed=False)
    secrets = hidden_values(grade, passed=True) - theirs
    for name, page in student_files(grade, Reveal.FAILED).items():
        leaked = [secret for secret in secrets if secret in page]
        assert not leaked, (name, leaked[:5])
        assert str(SEED) not in page
        assert "b2 = " not in page
    page = feedback.page(grade, Reveal.FAILED)
    loss = next(check for check in grade.checks if check.output == "loss")
    assert loss.divergence is not None
    assert loss.divergence.expected in page
    assert loss.divergence.got in page
    assert page.count("<svg") == 1


def test_with_failed_a_right_curve_is_not_drawn() -> None:
    """A picture is made of values too: the right loss stays hidden beside a wrong w1."""
    of = lab()
    against = problem(of)
    values = right(against, "pytorch")
    values["w1"] = values["w1"] + np.float32(0.125)
    grade = graded("ada", {"pytorch": answer(values)}, of, against)
    page = feedback.page(grade, Reveal.FAILED)
    assert "<svg" not in page
    assert "<svg" in feedback.page(grade, Reveal.ALL)


def test_with_all_every_number_is_there(grade: Grade) -> None:
    """The control of the two tests above: what they look for can be found."""
    page = feedback.page(grade, Reveal.ALL)
    assert str(SEED) in page
    assert "b2 = " in page
    for check in grade.checks:
        if check.divergence:
            assert check.divergence.expected in page


def test_what_a_crash_printed_is_shown_where_nothing_was_right(grade: Grade) -> None:
    """With `failed`, a program that ended with an exception has no right value to keep back."""
    of = lab()
    crash = answer({}, status="error", error_type="ValueError", message="shapes differ")
    crashed = graded("eve", {"pytorch": crash}, of, problem(of), stderr="Traceback …")
    assert "Traceback …" in text(feedback.page(crashed, Reveal.FAILED))
    assert "Traceback …" not in text(feedback.page(crashed, Reveal.NONE))
    assert "a warning" not in text(feedback.page(grade, Reveal.FAILED))


def test_an_exception_is_told_once_and_its_message_only_where_prints_are() -> None:
    """A message can hold any input: it stays hidden beside a right output; type and line do not."""
    of = lab()
    against = problem(of)
    crash = answer(
        {}, status="error", error_type="ValueError", message="y was -0.9474843",
        traceback='Traceback\n  File "pytorch.py", line 2, in run\nValueError: y was',
    )  # fmt: skip
    sources = {"pytorch": "def run(inputs, workdir):\n    raise ValueError(inputs['y'])\n"}
    alone = graded("eve", {"pytorch": crash}, of, against, sources=sources)
    right_too = {"pytorch": crash, "tf2": answer(right(against, "tf2"))}
    beside = graded("eve", right_too, of, against, sources=sources)
    for grade, reveal, told in (
        (alone, Reveal.NONE, False), (alone, Reveal.FAILED, True),
        (beside, Reveal.FAILED, False), (beside, Reveal.ALL, True),
    ):  # fmt: skip
        for name, page in student_files(grade, reveal).items():
            assert ("-0.9474843" in page) is told, (name, reveal)
        shown = text(feedback.page(grade, reveal))
        assert "ValueError (pytorch.py, line 2)" in shown
        assert "raise ValueError(inputs['y'])" in shown
    assert text(feedback.page(alone, Reveal.FAILED)).count("-0.9474843") == 1


def test_the_page_helps_without_a_number(grade: Grade) -> None:
    """Verdict, points, words, where it parts, time, memory, notes, faults, penalty."""
    shown = text(feedback.page(grade, Reveal.NONE))
    for part in (
        "Ada Lovelace", "4.5 of 7 points", "5 points before the penalty", "5 of 7",
        f"right for {STEP} of 176 steps, then it parts", "200 of 200 elements are wrong",
        "1.50 s", "212.2 MiB", "magic `%time` was dropped", "tf2.py: not UTF-8", "passed",
        "diverged", "It is not shown, because it may hold hidden values",
    ):  # fmt: skip
        assert part in shown, part


def test_a_curve_that_was_right_for_a_while_earns_its_part() -> None:
    """The page shows the part of the points and a colour of its own."""
    of = lab(partial=True)
    against = problem(of)
    wrong = answer(leaves_at(right(against, "pytorch"), 88))
    page = feedback.page(graded("ada", {"pytorch": wrong}, of, against), Reveal.NONE)
    assert "0.5 of 1" in text(page)
    assert '<span class="v v-partial">partial</span>' in page


def test_the_page_is_valid_and_loads_nothing(grade: Grade) -> None:
    """For every reveal: html5lib has no complaint, nothing comes from outside."""
    for reveal in Reveal:
        assert loads(feedback.page(grade, reveal)) == []


def test_an_unstable_program_is_told_what_to_look_for(grade: Grade) -> None:
    """The student learns that the score was not the same twice."""
    shown = text(feedback.page(replace(grade, unstable=("pytorch: loss",)), Reveal.NONE))
    assert "did not earn the same for pytorch: loss" in shown


def spoken(said: str, curve: Curve | None = None) -> Grade:
    """A grade in which every text that a student or a program chooses is ``said``."""
    check = Check(
        id=said, implementation=said, kind="output", output=said, points=1, earned=0,
        verdict=said, words=said, hidden=said, curve=curve, moved=True,
    )  # fmt: skip
    handed = Submission(
        student="s1", name=said, origin=said, sources={"pytorch": said}, notes=(said,),
        faults=(said,), submitted=said, late=True, penalty=0.5,
    )  # fmt: skip
    return Grade(
        submission=handed, lab=said, title=said, score=0, raw=0, points=1, checks=(check,),
        seeds=(1,), stdout=said, stderr=said, suspicious=(said,), unstable=(said,),
        facts={"ungraded": [said]},
    )  # fmt: skip


def test_hostile_text_makes_no_element() -> None:
    """A name, a verdict, a word or a print that is HTML is shown, never obeyed."""
    curve = Curve(expected=(1.0,), got=(2.0,))
    hostile, harmless = (
        elements(feedback.page(spoken(said, curve), Reveal.ALL)) for said in (HOSTILE, "harmless")
    )
    assert hostile == harmless
    assert any("}svg " in one for one in hostile)


@settings(max_examples=15)
@given(st.text(max_size=30))
def test_any_text_gives_a_valid_page(said: str) -> None:
    """Whatever it is, the elements are those of harmless text, and JSON parses."""
    made = spoken(f"x{said}x")
    assert elements(feedback.page(made, Reveal.ALL)) == elements(
        feedback.page(spoken("x"), Reveal.ALL)
    )
    json.loads(records.gradescope(made, Reveal.ALL))
