"""Figure (g)'s collection, apart from ``stages``: beside those imports its memory would vanish."""

from __future__ import annotations

import pytest

from paritylab.bench.growth import Work
from paritylab.bench.project import IMPLEMENTATIONS
from paritylab.errors import EngineError
from paritylab.shipped import shipped


def collection(count: int) -> Work:
    """Collect the tests of the project at hand, one for each of its cells."""
    tests = str(shipped("tests/labs"))
    command = ["--collect-only", "-q", "-p", "no:cacheprovider", tests]
    command += [f"--implementation={name}" for name in IMPLEMENTATIONS]
    command += ["-p", "no:hypothesispytest"]  # it imports for a second when all is collected
    pytest.main(["-VV", tests])  # imports its plugins, and by their conftest.py ours

    def work() -> None:
        if code := pytest.main(command):
            raise EngineError(f"pytest does not collect {count} cells: exit code {code}")

    return work
