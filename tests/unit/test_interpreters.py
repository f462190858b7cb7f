import subprocess
import sys
from pathlib import Path

import pytest

from paritylab import interpreters

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(autouse=True)
def _ask_again():
    interpreters.find.cache_clear()
    yield
    interpreters.find.cache_clear()


def script(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_answer_runs_and_has_the_version() -> None:
    """The interpreter of this test is found, outside any virtual environment."""
    found = interpreters.find(HERE)
    told = subprocess.run(
        [found, "-c", "import sys; print(sys.prefix == sys.base_prefix, sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == f"True {sys.version_info[:2]}"


def test_shims_that_refuse_and_liars_are_passed_over(tmp_path: Path, monkeypatch) -> None:
    """A name on the PATH proves nothing: pyenv's shims exit with 127, others are another Python."""
    script(tmp_path / "shims/python3.4", "exit 127")
    script(tmp_path / "liar/python3.4", f'exec {sys.executable} "$@"')
    script(tmp_path / "pypy/python3.4", "echo pypy 3.4 /usr/bin/pypy")
    honest = script(tmp_path / "pyenv/versions/3.4.10/bin/python3.4", "echo cpython 3.4 $0")
    folders = [tmp_path / name for name in ("shims", "liar", "pypy")]
    monkeypatch.setenv("PATH", ":".join([*map(str, folders), "/usr/bin", "/bin"]))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert interpreters.find("3.4") == honest


def test_a_version_that_is_nowhere(tmp_path: Path, monkeypatch) -> None:
    """None, and the command that gets it; nothing is downloaded behind anybody's back."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert interpreters.find("3.99") is None
    assert interpreters.install_command("3.99").endswith("uv python install 3.99")


def test_the_command_that_gets_a_python_works_as_it_is_typed(tmp_path: Path, monkeypatch) -> None:
    """On a bare machine uv is where nox put it, and on no PATH; a message names no home folder."""
    ours = script(tmp_path / "a project/.nox/lab/bin/uv", "exit 0")
    monkeypatch.setattr(interpreters, "uv_command", lambda: str(ours))
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.chdir(tmp_path / "a project")
    assert interpreters.install_command("3.7") == ".nox/lab/bin/uv python install 3.7"
    monkeypatch.chdir(tmp_path)
    assert interpreters.install_command("3.7").startswith("'a project/.nox/lab/bin/uv' python")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert interpreters.install_command("3.7") == "pip install uv && uv python install 3.7"
    monkeypatch.setenv("PATH", str(ours.parent))
    assert interpreters.install_command("3.7") == "uv python install 3.7"
    # nox puts its environment's programs on the PATH of what it runs, not on that of the reader.
    monkeypatch.setattr(sys, "prefix", str(ours.parents[1]))
    assert interpreters.install_command("3.7") == "pip install uv && uv python install 3.7"
