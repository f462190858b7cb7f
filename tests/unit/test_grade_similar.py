"""grade.outputs.similar: copies are found under other names, the starter and the lecture not."""

import random
import time

from cohort import STARTER, disguised, program
from conftest import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st

from paritylab.grade.model import Grade, Submission
from paritylab.grade.outputs.similar import pairs


def handed(student: str, source: str) -> Grade:
    """A grade of which only the program matters here."""
    return Grade(
        submission=Submission(
            student=student, name=student, origin=student, sources={"pytorch": source}
        ),
        lab="train", title="Train", score=0, raw=0, points=0, checks=(), seeds=(),
    )  # fmt: skip


def found(sources: dict[str, str], starter: str = STARTER) -> dict[tuple[str, str], float]:
    """The similar pairs and their shares."""
    grades = [handed(student, source) for student, source in sources.items()]
    return {(p.first, p.second): p.share for p in pairs(grades, {"pytorch": starter})}


def test_copies_with_other_names_comments_and_order_are_found_in_a_class_of_120() -> None:
    """At least 9 of 10 disguised copies, in seconds; few honest pairs beside them."""
    dice = random.Random(300)
    sources = {f"s{number:03}": program(dice) for number in range(110)}
    planted = [(f"copy{number:02}", dice.choice(sorted(sources))) for number in range(10)]
    sources |= {copy: disguised(sources[original], dice) for copy, original in planted}
    begun = time.monotonic()
    alike = found(sources)
    assert time.monotonic() - begun < 60
    caught = sum(pair in alike for pair in planted)
    assert caught >= 9, f"{caught} of {len(planted)}"
    honest = [pair for pair in alike if not any(name.startswith("copy") for name in pair)]
    assert len(honest) < 0.005 * 110 * 109 / 2  # few ways to write a short task: some do meet


def test_renamed_and_reordered_functions_are_alike_in_a_small_class() -> None:
    """Two students, real code of a lab: names and order do not hide a copy."""
    source = (PROJECT / "labs/evaluate/pytorch.py").read_text()
    other = (PROJECT / "labs/control-flow/pytorch.py").read_text()
    renamed = disguised(source, random.Random(1)).replace("def run(", "# mine\ndef run(")
    assert renamed != source
    assert set(found({"a": source, "b": renamed, "c": other}, starter="")) == {("a", "b")}


def test_the_starter_does_not_count() -> None:
    """Two who handed in the starter, or a line more, share nothing of their own."""
    line = STARTER.replace('raise NotImplementedError("forward")', "return x")
    assert found({"a": STARTER, "b": STARTER, "c": line}) == {}
    assert found({"a": STARTER, "b": STARTER}, starter="") == {("a", "b"): 1.0}


def test_what_much_of_a_class_wrote_does_not_count() -> None:
    """The one solution that the lecture shows makes nobody suspicious."""
    same = program(random.Random(1))
    assert found({f"s{number:02}": same for number in range(40)}) == {}


def test_the_same_text_is_told_as_such() -> None:
    """Equal to the letter, blanks at line ends aside, however short."""
    short = "def run(inputs, workdir):\n    return inputs\n"
    (pair,) = pairs([handed("a", short), handed("b", short + "  \n")], {})
    assert (pair.verbatim, pair.share) == (True, 1.0)


@settings(max_examples=30)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_compared_without_an_error(first: str, second: str) -> None:
    """What was handed in need not be Python."""
    for pair in pairs([handed("a", first), handed("b", second)], {"pytorch": first[:50]}):
        assert 0 < pair.share <= 1
