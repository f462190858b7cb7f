"""A cell as a test of pytest's: lighter than a parametrised function, of which ten thousand weigh.

A function of pytest's holds fixtures, parameters, marks and scopes, 2.6 KiB in all; a cell needs
none of these. Its name, place and reports are those that the parametrised ``test_cell`` has.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from types import FunctionType
from typing import Any, Self

import pytest

from paritylab.model import Cell

TEST = "test_cell"
"""The function whose place the cells take: called with the item and its cell."""


class _Late:
    """An attribute whose empty value is made when it is first asked for."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name

    def __get__(self, one: Any, _: type) -> Any:
        return self if one is None else one.__dict__.setdefault(self.name, self.make())

    def __set__(self, one: Any, value: Any) -> None:
        if value or self.name in one.__dict__:
            one.__dict__[self.name] = value


class CellItem(pytest.Item):
    """The test of one cell; ``body`` is the function ``test_cell``."""

    # What pytest gives every item, and hardly any cell needs: 400 bytes together.
    own_markers = _Late(list)
    extra_keyword_matches = _Late(set)
    user_properties = _Late(list)

    def __init__(self, *, cell: Cell, body: FunctionType, **known: Any) -> None:
        super().__init__(**known)
        self.cell, self.body = cell, body

    @classmethod
    def of(cls, cell: Cell, parent: pytest.Collector, body: FunctionType) -> Self:
        """Return the cell's test below ``parent``, the module that defines ``body``."""
        return cls.from_parent(parent, name=f"{TEST}[{cell.id}]", cell=cell, body=body)

    def runtest(self) -> None:
        """See pytest.Item."""
        self.body(self, self.cell)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """See pytest.Item: what is told begins with the body, not with pytest's own calls."""
        excinfo.traceback = excinfo.traceback.cut(path=self.body.__code__.co_filename)
        asked = self.config.getoption("tbstyle", "auto")
        return super().repr_failure(excinfo, style or (None if asked == "auto" else asked))

    def reportinfo(self) -> tuple[PathLike[str] | str, int | None, str]:
        """See pytest.Item."""
        return self.path, self.body.__code__.co_firstlineno - 1, self.name
