"""html.figures: plots that are safe inside a page and the same every time."""

import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paritylab.html import figures

HOSTILE = """</text></svg><script>alert(1)</script> $x_1$ "quoted" & 'so' \x00\ud800 李"""
NUMBERS = st.lists(st.none() | st.floats(), max_size=30)


def tree(svg: str) -> ElementTree.Element:
    """The picture as XML; raises where it is not well-formed."""
    return ElementTree.fromstring(svg)


@settings(max_examples=12)
@example([None, -3.6e-211], [None, 6.6e97], "", False)
@given(NUMBERS, NUMBERS, st.text(max_size=20), st.booleans())
def test_any_numbers_give_a_well_formed_picture_without_ids(
    expected: list[float | None], got: list[float | None], name: str, alone: bool
) -> None:
    """NaN, infinities, gaps, 1e308, other lengths, nothing at all: a picture, never an exception.

    Ids would clash with those of the next picture on the page.
    """
    drawn = tree(figures.curves(None if alone else expected, {name: got}, title=name))
    assert drawn.tag == "svg"
    assert not [node for node in drawn.iter() if "id" in node.attrib]
    assert {node.tag for node in drawn.iter()} <= {"svg", "g", "path", "text"}


def test_the_same_input_gives_the_same_bytes_in_another_process() -> None:
    """Evidence bundles are hashed: nothing of a picture may come from the clock or a hash seed."""
    code = (
        "import sys; from paritylab.html import figures as f;"
        "c = f.curves([1.0, 2.0], {'a': [1.0, 2.5], 'b': [1.0, None]}, title='t');"
        "h = f.heat_map(['r'], ['c', 'd'], [[3, None]], title='t', unit='ULP');"
        "i = f.histogram([1, 2, 2], title='t', unit='points', limits=(0, 3));"
        "sys.stdout.write(str(c) + str(h) + str(i))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) > 5000


@pytest.mark.parametrize("draw", ["curves", "heat_map", "histogram"])
def test_names_are_text_and_never_markup_or_mathematics(draw: str) -> None:
    """A lab, a student or an output may be called anything."""
    made = {
        "curves": lambda: figures.curves([1.0], {HOSTILE: [2.0], "b": [1.0]}, title=HOSTILE),
        "heat_map": lambda: figures.heat_map([HOSTILE], [HOSTILE], [[1.0]], title=HOSTILE),
        "histogram": lambda: figures.histogram([1], title=HOSTILE, unit=HOSTILE, limits=(0, 2)),
    }[draw]()
    drawn = tree(made)
    assert {node.tag for node in drawn.iter()} <= {"svg", "g", "path", "text"}
    shown = "".join(drawn.itertext())
    assert "<script>alert(1)</script> $x_1$" in shown
    assert "李" in shown


def test_colours_come_from_the_page() -> None:
    """A picture follows the reader's light or dark; the drawing's own placeholders are gone."""
    made = figures.curves([1.0, 2.0], {"a": [1.0, 2.5]}, title="t")
    assert "var(--series-0)" in made
    assert "currentColor" in made
    assert not re.search(r"#0a0[bc]0\d", made)


def test_distance_is_in_ulp_where_values_are_float32_else_relative() -> None:
    """The unit of the lower curve is told, and its size is right."""
    expected = [0.5, 0.25, 0.125]
    near = [float(np.nextafter(np.float32(v), np.float32(1))) for v in expected]
    assert "largest difference 1 ULP" in figures.curves(expected, {"a": near}, title="t")
    far = [v * (1 + 1e-12) for v in expected]
    assert "largest difference 1.0e-12 relative" in figures.curves(expected, {"a": far}, title="t")


def test_a_heat_map_shows_each_value_and_leaves_gaps_empty() -> None:
    """A variation that did not run has no field, so nothing looks as if it had passed."""
    made = figures.heat_map(["r", "s"], ["c", "d"], [[0, 7], [None, 123]], title="t")
    drawn = tree(made)
    words = [node.text for node in drawn.iter("text")]
    assert {"0", "7", "123"} <= set(words)
    fields = [n for n in drawn.iter("path") if "fill: #" in n.get("style", "")]
    assert len(fields) == 3
