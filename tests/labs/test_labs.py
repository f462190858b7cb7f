"""The matrix: one test per lab, implementation, environment and device."""

import pytest

from paritylab.model import Cell
from paritylab.pytest_plugin import check
from paritylab.runner import Runner


def test_cell(request: pytest.FixtureRequest, runner: Runner, cell: Cell) -> None:
    """The cell's outputs agree with the oracle's, within the lab's tolerances."""
    check(request, runner, cell)
