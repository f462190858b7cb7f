"""markers: model solution -> starter, for any file and for every lab that is graded."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paritylab import catalog
from paritylab.errors import CatalogError
from paritylab.grade.constructs import inspect
from paritylab.grade.markers import BEGIN, END, blocks, starter
from paritylab.grade.tasks import quotes, secrets, task
from paritylab.model import Lab
from paritylab.scenarios import solve

ROOT = Path(__file__).parent.parent.parent
GRADED = [lab for lab in catalog.load(ROOT).labs.values() if lab.rubric]
PROGRAM = """\
def run(inputs, workdir):
    # First: what comes in,
    # in two lines
    # BEGIN SOLUTION
    a = [b for b in inputs]
    c = secret(a)
    # END SOLUTION

    # Second: a function
    # BEGIN SOLUTION
    @decorated
    def step(x):  # [n]
        return hidden(x)

    # END SOLUTION
    return {"a": step(a)}
"""


def sources(lab: Lab) -> list[tuple[str, str]]:
    """Name and text of what the lab grades."""
    assert lab.rubric is not None
    found = [(name, lab.implementations[name].source) for name in lab.rubric.implementations]
    return [(name, path.read_text()) for name, path in found if path]


def test_a_starter_keeps_signatures_and_says_what_is_missing() -> None:
    """What a student reads: which names to define, and which part it is."""
    text = starter(PROGRAM)
    assert "secret" not in text
    assert "hidden" not in text
    assert "decorated" not in text
    assert "    def step(x):  # [n]\n" in text
    assert "# Your code here: define a\n" in text  # c is used by nothing, b is a loop's own
    assert '"First: what comes in, in two lines"' in text
    assert BEGIN not in text


def test_a_starter_fails_clearly_when_it_runs() -> None:
    """Nobody gets a NameError, or worse an answer, from a file with parts missing."""
    space: dict[str, object] = {}
    exec(starter(PROGRAM), space)
    with pytest.raises(NotImplementedError, match="First: what comes in"):
        space["run"]([], None)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"x = 1\n{BEGIN}\ny = 2\n", "f.py:2: # BEGIN SOLUTION without"),
        (f"x = 1\n{END}\n", "f.py:2: # END SOLUTION without"),
        (f"{BEGIN}\n{BEGIN}\nx = 1\n{END}\n", "f.py:2: a solution begins inside"),
        (f"if x:\n    {BEGIN}\n    y = 2\n{END}\n", "f.py:4: is not as deep"),
        (f"{BEGIN}\n# words only\n{END}\n", "f.py:1: the solution holds no code"),
        (f"if x:\n    {BEGIN}\n    y = (\n    {END}\n    1)\n", "no block of its own"),
    ],
    ids=["never ended", "never begun", "nested", "another depth", "no code", "half a statement"],
)
def test_markers_that_do_not_fit_are_told_with_their_line(text: str, told: str) -> None:
    """A half-marked file never becomes an assignment with the solution in it."""
    with pytest.raises(CatalogError) as caught:
        starter(text, shown="f.py")
    assert told in str(caught.value)


@given(st.text("#BEGINSOLUTION \n", max_size=200) | st.text(max_size=100))
def test_any_text_gives_a_starter_or_a_catalog_error(text: str) -> None:
    """Nothing else comes out of it, and what comes out is Python."""
    try:
        ast.parse(starter(text))
    except CatalogError:
        pass
    except ValueError:  # NUL bytes: no file of labs/ has them, contract.py sees to it
        assert "\0" in text or not text.isprintable()


@pytest.mark.parametrize("lab", GRADED, ids=lambda lab: lab.slug)
def test_every_graded_file_has_markers_and_its_starter_none_of_the_solution(lab: Lab) -> None:
    """What is marked is gone, what is not marked is still there, line by line."""
    for name, text in sources(lab):
        found = blocks(text, shown=name)
        begun = starter(text, shown=name)
        assert found
        assert max(map(len, begun.splitlines())) <= 79
        outside = [
            line
            for number, line in enumerate(text.splitlines(), 1)
            if not any(block.begin <= number <= block.end for block in found)
        ]
        left = iter(begun.splitlines())
        assert all(line in left for line in outside), name
        hidden = {line for line in secrets(lab, (name,)) if not line.startswith("def")}
        kept = "".join("".join(outside).split())
        assert not quotes(begun, {line for line in hidden if line not in kept})


@pytest.mark.parametrize("lab", GRADED, ids=lambda lab: lab.slug)
def test_markers_stand_in_the_same_sections_of_all_three_files(lab: Lab) -> None:
    """The three files stay parallel: as many solutions in each."""
    assert len({len(blocks(text, shown=name)) for name, text in sources(lab)}) == 1


@pytest.mark.parametrize("lab", GRADED, ids=lambda lab: lab.slug)
def test_the_task_does_not_quote_the_solution(lab: Lab) -> None:
    """TASK.md is made from a lesson that was written for people who may see everything."""
    names = tuple(name for name, _ in sources(lab))
    text = task(lab, names, package="paritylab", notebook=False)
    told = [line for line in text.splitlines() if not line.startswith(("| ", "No points"))]
    assert not quotes("\n".join(told), secrets(lab, names))
    assert "Exercises" not in text
    assert "gets wrong" not in text
    assert "pip install paritylab" in text


def test_a_readme_that_quotes_the_solution_loses_that_line(tmp_path: Path) -> None:
    """Lines, table rows and whole fenced blocks, whatever their blanks; the rest stays."""
    lab = next(lab for lab in GRADED if lab.slug == "train")
    (tmp_path / "README.md").write_text(
        "# Title\n\nFirst `loss = loss_fn(net( xb ), yb)`, told by mistake.\nThis stays.\n\n"
        "```python\nx = 1\noptimizer.zero_grad()\n```\n\n```text\nstep 0\n```\n\n"
        "## What to notice\n\nsecret\n\n## What you should see\n\n| optimizer.step() |\n1.5\n"
    )
    lab = replace(lab, folder=tmp_path)
    text = task(lab, ("pytorch",), package="paritylab", notebook=False)
    told = text.partition("## Your part")[0]
    expected = "# Title This stays. ```text step 0 ``` ## What you should see 1.5"
    assert " ".join(told.split()) == expected


@pytest.mark.parametrize("lab", GRADED, ids=lambda lab: lab.slug)
def test_the_rubric_fits_solution_and_starter(lab: Lab) -> None:
    """Model solutions use what is required and nothing forbidden; starters use none of it."""
    assert lab.rubric is not None
    for name, text in sources(lab):
        constructs = lab.rubric.constructs[name]
        solved, begun = inspect(text, constructs), inspect(starter(text), constructs)
        assert not solved.fault
        assert not solved.forbidden
        assert all(line for _, line in solved.required)
        assert not any(line for _, line in begun.required), name


@pytest.mark.parametrize("lab", GRADED, ids=lambda lab: lab.slug)
def test_an_output_with_points_depends_on_the_seed(lab: Lab) -> None:
    """A hard-coded answer fails by construction: what hardly ever changes earns nothing."""
    assert lab.rubric is not None
    seeds = (11, 12, 13)
    problems = [solve(lab, seed) for seed in seeds]
    for name in lab.rubric.implementations:
        for output, spec in lab.outputs.items():
            if spec.points:
                answers = {np.asarray(p.expected[name][output]).tobytes() for p in problems}
                assert len(answers) == len(seeds), f"{name}: {output}"
