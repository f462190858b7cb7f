"""Every graded lab as an assignment, with the real frameworks: solution, starter, a student's day.

One set of warm workers serves all labs; pytest-xdist would start one per process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paritylab import catalog
from paritylab.engines.venv import VenvEngine
from paritylab.errors import SubmissionError
from paritylab.fleet import LocalFleet
from paritylab.grade import assign, assignment, local
from paritylab.grade.assign import Choice
from paritylab.model import Lab
from paritylab.rubric import Constructs

pytestmark = pytest.mark.frameworks
PROJECT = Path(__file__).parent.parent.parent
LOADED = catalog.load(PROJECT)
GRADED = [lab for lab in LOADED.labs.values() if lab.rubric]


@pytest.fixture(scope="module")
def fleet() -> Iterator[LocalFleet]:
    """Warm workers, shared by all tests of this file."""
    with VenvEngine() as engine, LocalFleet(engine) as opened:
        yield opened


def composed(lab: Lab, *names: str) -> assignment.Assignment:
    """The lab as an assignment on one public seed."""
    choice = Choice(implementations=assign.graded(lab, names), seeds=1)
    return assign.compose(lab, LOADED.environments, choice)


@pytest.mark.parametrize("lab", GRADED, ids=lambda lab: lab.slug)
def test_the_solution_scores_everything_and_the_starter_nothing(
    lab: Lab, fleet: LocalFleet
) -> None:
    """What `paritylab assign` refuses without: in every implementation of every graded lab."""
    assign.verify(lab, composed(lab), fleet)


def test_a_starter_that_scores_is_refused(fleet: LocalFleet) -> None:
    """Planted fault: what is required stands in the part that students are given."""
    lab = LOADED.labs["multiply"]
    assert lab.rubric is not None
    given = {"pytorch": Constructs(require=("torch.tensor",), points=1.0)}
    lab = replace(lab, rubric=replace(lab.rubric, constructs=given))
    with pytest.raises(SubmissionError, match="starter earns 1 for pytorch: must use"):
        assign.verify(lab, composed(lab, "pytorch"), fleet)


def test_a_solution_that_misses_a_point_is_refused(fleet: LocalFleet) -> None:
    """Planted fault: the rubric asks for what the model solution does not use."""
    lab = LOADED.labs["multiply"]
    assert lab.rubric is not None
    asked = {"pytorch": Constructs(require=("torch.compile",), points=1.0)}
    lab = replace(lab, rubric=replace(lab.rubric, constructs=asked))
    with pytest.raises(SubmissionError, match="model solution earns 0 of 1"):
        assign.verify(lab, composed(lab, "pytorch"), fleet)


def test_a_wrong_solution_is_told_step_by_step(fleet: LocalFleet) -> None:
    """A learning rate too large by a thousandth: the share of right steps, the rest in words."""
    lab = LOADED.labs["train"]
    text = (lab.folder / "pytorch.py").read_text()
    wrong = text.replace('lr=inputs["learning_rate"]', 'lr=inputs["learning_rate"] * 1.001')
    assert wrong != text
    found = local.check(composed(lab, "pytorch"), {"pytorch": wrong}, fleet)
    by_output = {check.output: check for check in found.checks if check.output}
    assert 0 < by_output["loss"].earned < 0.2
    assert "right for 1 of 176 steps" in by_output["loss"].words
    assert by_output["w1"].earned == 0
    assert found.earned < found.points


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `paritylab` outside of the checkout."""
    outside = {name: value for name, value in os.environ.items() if name != "PARITYLAB_ROOT"}
    return subprocess.run(
        [sys.executable, "-m", "paritylab", *arguments],
        cwd=folder, env=outside, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_a_students_day(tmp_path: Path) -> None:
    """Handed out, checked, written, checked again: in a folder that knows no checkout."""
    folder, lab = tmp_path / "work", LOADED.labs["multiply"]
    choice = Choice(implementations=("pytorch",), seeds=2)
    assign.write(lab, assign.compose(lab, LOADED.environments, choice), choice, folder)
    begun = command("check", folder=folder)
    assert begun.returncode == 1, begun.stderr
    assert "NotImplementedError: Definition: a class with a forward method" in begun.stdout
    (folder / "pytorch.py").write_text((lab.folder / "pytorch.py").read_text())
    solved = command("check", folder=folder)
    assert solved.returncode == 0, solved.stdout + solved.stderr
    assert re.search(r"4 of 4 points on the public inputs \(seeds 1, 2\)", solved.stdout)
    (folder / "pytorch.py").unlink()
    missing = command("check", folder=folder)
    assert missing.returncode == 1
    assert "pytorch.py (or .ipynb) is missing" in missing.stderr


def test_a_notebook_is_checked_like_a_file(tmp_path: Path) -> None:
    """--notebook gives a notebook, and what is written in it counts."""
    folder, lab = tmp_path / "work", LOADED.labs["multiply"]
    choice = Choice(implementations=("pytorch",), seeds=1, notebook=True)
    assign.write(lab, assign.compose(lab, LOADED.environments, choice), choice, folder)
    path = folder / "pytorch.ipynb"
    book = json.loads(path.read_text())
    assert not (folder / "pytorch.py").exists()
    source = (lab.folder / "pytorch.py").read_text()
    cells = [{**book["cells"][-1], "cell_type": "code", "source": f"%pylab\n{source}"}]
    path.write_text(json.dumps({**book, "cells": cells}))
    done = command("check", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dropped `%pylab`" in done.stderr
