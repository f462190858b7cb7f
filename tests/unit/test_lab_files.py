"""Every lab as it lies in labs/: scenarios that are sound, programs that read side by side."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from paritylab import catalog
from paritylab.digest import digest
from paritylab.model import IMPLEMENTATIONS, Lab
from paritylab.scenarios import loaded_scenario, pose

ROOT = Path(__file__).parent.parent.parent
OURS = ("evaluate", "multiply", "train")  # the labs of issue 2; later ones have their own tests
FRAMEWORKS = {"pytorch": "torch", "tf1": "tensorflow", "tf2": "tensorflow"}


@pytest.fixture(params=OURS)
def lab(request: pytest.FixtureRequest) -> Lab:
    """Each of the three labs."""
    return catalog.load(ROOT, labs=(request.param,)).labs[request.param]


def sections(source: str) -> list[str]:
    """The section comments of a lab file: own line, capital, up to colon or end."""
    return re.findall(r"^ *# ([A-Z][^:\n]*)", source, flags=re.MULTILINE)


def test_a_seed_gives_its_inputs_again_and_another_seed_others(lab: Lab) -> None:
    """Hidden-seed grading needs inputs that follow from the seed alone."""
    assert digest(pose(lab, 1)) == digest(pose(lab, 1))
    assert digest(pose(lab, 1)) != digest(pose(lab, 2))


def test_inputs_hold_no_float64_array(lab: Lab) -> None:
    """Draws are cast to float32 before they are shipped: every framework gets the same bits."""
    kinds = {str(v.dtype) for v in pose(lab, 0).values() if isinstance(v, np.ndarray)}
    assert kinds <= {"float32", "int64"}


def test_programs_have_the_same_sections_in_the_same_order(lab: Lab) -> None:
    """A side-by-side diff of the three files is the lesson."""
    found = [sections((lab.folder / f"{i}.py").read_text()) for i in IMPLEMENTATIONS]
    assert found[0]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_program_is_short_and_imports_only_its_framework(lab: Lab, implementation: str) -> None:
    """One file, 79 columns, about a hundred lines, nothing but its framework, NumPy and stdlib."""
    source = (lab.folder / f"{implementation}.py").read_text()
    assert max(map(len, source.splitlines())) <= 79
    assert len(source.splitlines()) <= 100
    imports = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import)]
    assert not [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
    names = {alias.name.partition(".")[0] for node in imports for alias in node.names}
    assert names <= {FRAMEWORKS[implementation], "numpy", "os"}


def test_the_gradient_of_train_is_that_of_finite_differences() -> None:
    """The oracle's hand-made gradient is checked by nothing but the loss itself."""
    with loaded_scenario(catalog.load(ROOT, labs=("train",)).labs["train"]) as (inputs, oracle):
        start = inputs(3)
        start["batches"] = start["batches"][:1]
        moved, rate, nudge = oracle(start), start["learning_rate"], 2.0**-20
        for name in ("w1", "b1", "w2", "b2"):
            gradient = (start[name].astype(np.float64) - moved[name]) / rate
            for index in np.ndindex(start[name].shape):
                ends = []
                for sign in (1, -1):
                    value = start[name].astype(np.float64)
                    value[index] += sign * nudge
                    ends.append(oracle({**start, name: value})["loss"][0])
                slope = (ends[0] - ends[1]) / (2 * nudge)
                assert slope == pytest.approx(gradient[index], rel=1e-5, abs=1e-7)


def test_train_draws_again_when_a_relu_stands_on_the_edge() -> None:
    """Seed 82's first draw has a ReLU argument of 4e-8, which float32 cannot decide."""
    lab = catalog.load(ROOT, labs=("train",)).labs["train"]
    with loaded_scenario(lab) as (inputs, _):
        scenario = inputs.__globals__
        first = scenario["draw"](np.random.RandomState(82))
        assert scenario["descend"](first)[2] < 1e-7
        assert scenario["descend"](inputs(82))[2] > scenario["KNIFE_EDGE"]


def test_weights_to_save_are_exact_in_float32() -> None:
    """Whole 1024ths: the solver's last bits, which differ by machine, cannot show."""
    inputs = pose(catalog.load(ROOT, labs=("evaluate",)).labs["evaluate"], 5)
    for name in ("w1", "b1", "w2", "b2"):
        whole = inputs[name] * 1024
        assert np.array_equal(whole, np.round(whole))
