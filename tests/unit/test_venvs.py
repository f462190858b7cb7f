import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from packages import make_wheel
from rich.progress import Progress

from paritylab import cache, catalog, hostpip, locks, venvs
from paritylab.errors import ImageError, InterpreterError
from paritylab.model import Environment
from paritylab.wheelhouse import sha256

QUIET = Progress(disable=True)
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def environment(project: Path, tmp_path: Path, monkeypatch) -> Environment:
    """An environment of one small package, and an empty cache."""
    links = tmp_path / "links"
    wheel = make_wheel(links, "alpha")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    hostpip.settings.cache_clear()
    folder = project / "environments/tiny"
    text = (folder / "environment.toml").read_text()
    (folder / "environment.toml").write_text(text.replace('python = "3.11"', f'python = "{HERE}"'))
    (folder / "cpu.in").write_text("alpha\n")
    stack = catalog.load(project).environments["tiny"].stacks["cpu"]
    pin = locks.Pin(name="alpha", version="1.0", hashes=(sha256(wheel),))
    stack.lock.write_text(locks.header(stack, HERE) + pin.requirement + "\n")
    yield catalog.load(project).environments["tiny"]
    hostpip.settings.cache_clear()


def test_it_holds_the_lock_and_is_found_the_next_time(environment: Environment) -> None:
    """Made once; then found in less than a tenth of a second, without looking for a Python."""
    python = venvs.ensure(environment, "cpu", QUIET)
    code = "import alpha, sys; print(alpha.VERSION, sys.version_info[:2])"
    told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == f"1.0 {sys.version_info[:2]}"
    start = time.monotonic()
    assert venvs.ensure(environment, "cpu", QUIET) == python
    assert venvs.missing(environment) is None
    assert time.monotonic() - start < 0.1


def test_another_lock_is_another_folder(environment: Environment) -> None:
    """What is there is never changed; prune removes what no lock of today needs."""
    python = venvs.ensure(environment, "cpu", QUIET)
    other = replace(environment.stacks["cpu"], lock_digest="0" * 64)
    changed = replace(environment, stacks={"cpu": other})
    assert [row.path for row in venvs.listing()] == [python.parent.parent]
    assert venvs.prune([(environment, "cpu")]) == []
    assert venvs.prune([(changed, "cpu")]) == [python.parent.parent.name]
    assert venvs.listing() == []


def test_a_failed_install_leaves_nothing_that_looks_finished(environment: Environment) -> None:
    """Only complete folders get their name; the wheelhouse's damage is told, not installed."""
    stack = environment.stacks["cpu"]
    text = stack.lock.read_text()
    stack.lock.write_text(text.replace("hash=sha256:", "hash=sha256:" + "0" * 8)[:-9] + "\n")
    with pytest.raises(ImageError):
        venvs.ensure(environment, "cpu", QUIET)
    assert venvs.listing() == []
    assert not list(cache.folder("venvs").glob(".tmp-*"))


def test_two_processes_make_one(environment: Environment) -> None:
    """Started at the same moment, both get the same finished folder."""
    root = environment.folder.parents[1]
    code = (
        "import sys; from pathlib import Path; from rich.progress import Progress\n"
        "from paritylab import catalog, venvs\n"
        f"one = catalog.load(Path({str(root)!r})).environments['tiny']\n"
        "print(venvs.ensure(one, 'cpu', Progress(disable=True)))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = {process.communicate()[0] for process in both}
    assert len(answers) == 1
    assert all(process.returncode == 0 for process in both)


def test_a_python_that_is_missing_is_told_with_its_command(environment: Environment) -> None:
    """Not a crash: the environment is reported with what gets its interpreter."""
    future = replace(environment, python="3.99")
    lacking = venvs.missing(future)
    assert lacking is not None
    assert lacking.fix.endswith("uv python install 3.99")
    with pytest.raises(InterpreterError, match=r"3\.99"):
        venvs.ensure(future, "cpu", QUIET)
