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
    assert interpreters.install_command("3.99") == "uv python install 3.99"
