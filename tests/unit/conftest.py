"""A small valid project that tests copy and break."""

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from paritylab.cli import app as cli_app
from paritylab.cli import load

load()  # tests call commands of the application, not of a command line
# Whatever else the machine does: a slow example is no wrong one.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

FIXTURES = Path(__file__).parent.parent / "fixtures"
PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the valid fixture project: lab `double`, environment `tiny` (NumPy alone)."""
    shutil.copytree(FIXTURES / "valid", tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture(autouse=True)
def wide() -> None:
    """What commands print is not wrapped, in whatever terminal or order the tests run."""
    cli_app.out.width = cli_app.PLAIN_WIDTH
