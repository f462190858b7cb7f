"""The matrix: one test per lab, implementation, environment and device."""

import pytest

from paritylab.model import Cell
from paritylab.pytest_plugin import check


def test_cell(item: pytest.Item, cell: Cell) -> None:
    """The cell's outputs agree with the oracle's, within the lab's tolerances."""
    check(item, cell)
