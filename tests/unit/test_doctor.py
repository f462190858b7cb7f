"""doctor: what is absent is told with the command that brings it, and only ours is removed."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import PROJECT

from paritylab import cache, hostpip, interpreters
from paritylab.doctor import Line, Scope, examine, healthy, leftovers, machine, network
from paritylab.doctor import engines as engine_checks
from paritylab.errors import DockerError


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine without programs, other Pythons or a Docker engine."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    interpreters.find.cache_clear()
    yield
    interpreters.find.cache_clear()


def by_name(lines: list[Line]) -> dict[str, Line]:
    """Lines by what they are about."""
    return {line.name: line for line in lines}


def test_a_bare_machine_is_told_every_command(nothing_installed: None) -> None:
    """Emptied PATH, no engine: each gap has its own command, none is a traceback."""
    lines = by_name(examine(Scope("venv", "cpu", PROJECT)))
    assert not lines["C++ compiler"].ok
    assert "g++" in lines["C++ compiler"].fix
    assert not lines["Docker"].ok
    assert "systemctl start docker" in lines["Docker"].fix
    assert "/nowhere/docker.sock" in lines["Docker"].found
    python = lines["Python 3.7 for tf1"]
    assert (python.ok, python.fix) == (False, interpreters.install_command("3.7"))
    assert not [line for line in lines.values() if not line.ok and not line.fix]
    assert not [line.name for line in lines.values() if "cannot be looked at" in line.found]


def test_what_is_needed_depends_on_what_is_to_run(nothing_installed: None) -> None:
    """Without Docker virtual environments work; asked for Docker, the doctor says no."""
    for engine, needed in (("venv", False), ("docker", True)):
        [line] = engine_checks.docker(Scope(engine, "cpu", PROJECT))
        assert line.needed is needed
        assert healthy([line]) is not needed
    for device, needed in (("cpu", False), ("cuda", True)):
        lines = list(engine_checks.gpu(Scope("here", device, PROJECT)))
        assert {line.needed for line in lines if not line.ok} <= {needed}


def test_one_environment_without_its_python_is_no_disaster(
    nothing_installed: None, project: Path
) -> None:
    """It is needed only where no environment has one: then nothing could run."""
    file = project / "environments/tiny/environment.toml"
    file.write_text(file.read_text().replace('python = "3.11"', 'python = "3.6"'))
    [line] = machine.pythons(Scope("venv", "cpu", project))
    assert line.name == "Python 3.6 for tiny"
    assert line.status == "missing"
    [line] = machine.pythons(Scope("docker", "cpu", project))
    assert line.status == "optional"


def test_a_broken_project_is_one_line(tmp_path: Path) -> None:
    """The other checks still answer."""
    lines = by_name(examine(Scope("here", "cpu", tmp_path)))
    assert lines["project"].status == "missing"
    assert lines["cores"].ok


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    """More is needed than there is: the line names both numbers and what frees space."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(project / "cache"))
    [line] = machine.cache_disk(Scope("venv", "cpu", project))
    assert line.ok
    monkeypatch.setitem(machine.VENV_MB, "cpu", 10**9)
    [line] = machine.cache_disk(Scope("venv", "cpu", project))
    assert line.status == "missing"
    assert "1,000,001,000 MB needed" in line.found
    assert "paritylab venvs prune" in line.fix


@pytest.mark.parametrize("engine", ["venv", "here"])
def test_an_index_that_does_not_answer_is_told_and_not_named(
    engine: str, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    """The host's own pip settings decide; their address, maybe with a password, stays hidden."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(project / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    hostpip.settings.cache_clear()
    try:
        [line] = network.package_index(Scope(engine, "cpu", project))
    finally:
        hostpip.settings.cache_clear()
    assert line.status == ("missing" if engine == "venv" else "optional")
    assert "secret" not in line.found + line.fix
    assert "127.0.0.1" not in line.found + line.fix


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for temporary files of its own, and an empty cache."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path


def worker_folder(parent: Path, *, age: float = 3600.0) -> Path:
    """What a local worker leaves when it is killed."""
    folder = Path(tempfile.mkdtemp(prefix="paritylab-", dir=parent))
    (folder / "jobs").mkdir()
    then = folder.stat().st_mtime - age
    os.utime(folder, (then, then))
    return folder


def test_folders_of_dead_workers_are_found_and_living_ones_stay(temporary: Path) -> None:
    """A worker lives in its folder: as long as anybody works there it is no leftover."""
    dead, living = worker_folder(temporary), worker_folder(temporary)
    young = worker_folder(temporary, age=0.0)
    foreign = temporary / "paritylab-notes"
    foreign.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], cwd=living / "jobs", stdin=subprocess.PIPE
    ) as worker:
        found = leftovers.folders()
        assert dead in found
        assert not {living, young, foreign} & set(found)
        worker.communicate(b"\n")
    assert living in leftovers.folders()


def test_unfinished_installations_are_left_alone_for_a_day(temporary: Path) -> None:
    """One may be running; after a day it was killed."""
    old, new = (cache.folder("venvs") / name for name in (".tmp-old", ".tmp-new"))
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    assert [f for f in leftovers.folders() if f.parent == old.parent] == [old]


def test_fix_removes_leftovers_and_json_is_one_object_per_line(
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    doctor: Callable[..., int],
) -> None:
    """`doctor --fix --json` is for scripts: removed things on stderr, lines on stdout."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    dead = worker_folder(temporary)
    assert doctor("--engine", "here", "--fix", "--json") == 0
    said = capsys.readouterr()
    assert not dead.exists()
    assert str(dead) in said.err.replace("\n", "")
    lines = json.loads(said.out)
    assert {"name", "ok", "found", "fix", "needed", "status"} == set(lines[0])
    assert {line["status"] for line in lines} <= {"ok", "missing", "optional"}


def test_what_is_missing_makes_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], doctor: Callable[..., int]
) -> None:
    """Asked whether Docker can be used where it cannot."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert doctor("--engine", "docker") == 3
    assert "missing: Docker" in capsys.readouterr().out
    assert doctor("--engine", "dcker") == 2
    assert "did you mean `docker`?" in capsys.readouterr().err


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, project: Path) -> Callable[..., int]:
    """Run `paritylab doctor` in this process; returns its exit code."""
    from paritylab.cli import main  # noqa: PLC0415

    def run(*arguments: str) -> int:
        monkeypatch.setenv("PARITYLAB_ROOT", str(project))
        monkeypatch.setattr(sys, "argv", ["paritylab", "doctor", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return run


def test_an_engine_that_is_gone_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What depends on it is left out instead of failing six times."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    scope = Scope("docker", "cpu", PROJECT)
    assert isinstance(scope.docker, DockerError)
    for check in (engine_checks.images, engine_checks.docker_disk, network.registry):
        assert list(check(scope)) == []
