import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from docker.errors import ImageNotFound
from rich.progress import Progress

from paritylab import bases, catalog
from paritylab.errors import ImageError, InterpreterError, UsageError
from paritylab.model import Environment
from paritylab.turns import OverError, until

QUIET = Progress(disable=True)


@pytest.fixture
def environment(project: Path, tmp_path: Path, monkeypatch) -> Environment:
    """The fixture's environment beside the real docker/, with an empty cache."""
    shutil.copytree(Path(__file__).parents[2] / "docker", project / "docker")
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    return catalog.load(project).environments["tiny"]


def test_the_pulled_base_is_named_by_digest(environment: Environment) -> None:
    """Neither mode asks the engine or the network to say what the base is."""
    for mode in ("auto", "pull"):
        base = bases.identify(environment, "cpu", mode=mode, progress=QUIET)
        assert base.reference == environment.stacks["cpu"].base


def test_a_pull_ends_when_its_work_is_of_no_more_use(environment: Environment) -> None:
    """Minutes of a slow registry are not waited for by Ctrl-C; it is read message by message."""
    ended, read = threading.Event(), []

    def messages(*_: object, **__: object) -> Iterator[bytes]:
        for number in range(3):
            read.append(number)
            ended.set()
            yield b"{}"

    engine = Mock()
    engine.images.get.side_effect = ImageNotFound("none")
    engine.api.pull = messages
    base = bases.identify(environment, "cpu", mode="pull", progress=QUIET)
    with until(ended), pytest.raises(OverError):
        bases.provide(engine, base, environment, mode="pull")
    assert read == [0]


def test_an_unknown_mode_gets_the_nearest_name(environment: Environment) -> None:
    """A typing error on the command line is told as one."""
    with pytest.raises(UsageError) as caught:
        bases.identify(environment, "cpu", mode="bootstrp", progress=QUIET)
    assert caught.value.why == "did you mean `bootstrap`?"


def test_what_bootstrap_needs_is_told_as_a_command(environment: Environment, monkeypatch) -> None:
    """No mmdebstrap on the PATH: the line that installs it."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ImageError) as caught:
        bases.identify(environment, "cpu", mode="bootstrap", progress=QUIET)
    assert "apt-get install" in caught.value.fix


def test_a_python_that_is_not_debians_must_be_on_the_machine(environment: Environment) -> None:
    """Its absence is told with what gets it, before anything is made."""
    with pytest.raises(InterpreterError) as caught:
        bases.bootstrap(replace(environment, python="3.99"), QUIET)
    assert caught.value.fix.endswith("uv python install 3.99")


def test_bases_are_known_without_being_made(environment: Environment, tmp_path: Path) -> None:
    """What prune asks costs nothing: a bootstrap that was never made is not made for it."""
    known = bases.known(environment, "cpu")
    assert [base.reference for base in known] == [environment.stacks["cpu"].base]
    assert not list((tmp_path / "cache" / "bases").glob("*.tar"))
