"""A small valid project that tests copy and break."""

import shutil
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent.parent / "fixtures"
PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the valid fixture project: lab `double`, environment `tiny` (NumPy alone)."""
    shutil.copytree(FIXTURES / "valid", tmp_path / "project")
    return tmp_path / "project"
