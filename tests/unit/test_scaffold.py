"""scaffold: a new lab keeps the contract before its author has changed anything."""

from pathlib import Path

import numpy as np
import pytest

from paritylab import catalog, scenarios
from paritylab.errors import UsageError
from paritylab.scaffold import new_lab


def test_a_new_lab_is_valid_and_its_oracle_answers(project: Path) -> None:
    """`paritylab new` writes a folder that loads; nothing else is touched."""
    folder = new_lab(project, "my-lab")
    lab = catalog.load(project).labs["my-lab"]
    problem = scenarios.solve(lab, 3)
    x = problem.inputs["x"].astype(np.float64)
    assert problem.expected["tf1"]["total"] == pytest.approx(float(x @ x), rel=1e-15)
    assert all(i.source for i in lab.implementations.values())
    assert not [p for p in folder.parent.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("name", ["My Lab", "double", "../evil", "-x", ""])
def test_bad_or_taken_names_are_refused_and_leave_nothing(project: Path, name: str) -> None:
    """No path can be escaped and no lab overwritten."""
    before = sorted(p for p in project.rglob("*"))
    with pytest.raises(UsageError):
        new_lab(project, name)
    assert sorted(p for p in project.rglob("*")) == before
