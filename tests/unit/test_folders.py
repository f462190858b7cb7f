"""Folders that are written anew: nobody's files are removed but our own."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from paritylab.cli.app import app
from paritylab.errors import UsageError
from paritylab.folders import MARK, renew


def test_what_an_earlier_run_wrote_goes(tmp_path: Path) -> None:
    """A page that is gone from the sources is gone from the site, too."""
    folder = renew(tmp_path / "new" / "site")
    (folder / "old").mkdir()
    (folder / "old" / "page.html").touch()
    (tmp_path / "kept").mkdir()
    (folder / "link").symlink_to(tmp_path / "kept")
    assert [path.name for path in renew(folder).iterdir()] == [MARK]
    assert (tmp_path / "kept").is_dir()


@pytest.mark.parametrize("name", ["a.txt", ".hidden"])
def test_what_somebody_else_wrote_stays(tmp_path: Path, name: str) -> None:
    """`--out .` in a home is refused before anything is lost."""
    (tmp_path / name).write_text("work")
    with pytest.raises(UsageError, match="did not write"):
        renew(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """The name of a file is refused, and the file stays."""
    (tmp_path / "f").write_text("work")
    with pytest.raises(UsageError, match="no folder"):
        renew(tmp_path / "f")
    assert (tmp_path / "f").read_text() == "work"


@pytest.mark.parametrize("command", ["audit-power", "site"])
def test_commands_refuse_such_a_folder_first(tmp_path: Path, command: str) -> None:
    """Both write a folder anew; a slip of the pen in `--out` costs nothing, not even time."""
    (tmp_path / "thesis.txt").write_text("work")
    done = CliRunner().invoke(app, [command, "--out", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
