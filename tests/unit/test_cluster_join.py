"""cluster.join: a worker is started again, unless that is of no use."""

import sys
from pathlib import Path

import pytest

from paritylab.cluster import join
from paritylab.errors import EngineError, LabError, UsageError


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "PAUSE_SECONDS", 0.0)


class EnoughError(Exception):
    """The test has seen enough."""


def program(text: str) -> list[str]:
    """A command in a worker's place."""
    return [sys.executable, "-c", f"import os, sys; {text}"]


def starts(words: list[str], most: int = 8) -> int:
    """How often it is started again before that is given up, at most so often."""
    said: list[str] = []

    def tell(text: str) -> None:
        said.append(text)
        if len(said) == most:
            raise EnoughError

    with pytest.raises((LabError, EnoughError)):
        join.join(words, tell)
    return len(said)


@pytest.mark.parametrize(("code", "kind"), [(1, EngineError), (2, UsageError)])
def test_a_worker_that_always_fails_is_given_up(code: int, kind: type[LabError]) -> None:
    """A mistyped option: five ends at once in a row are told with their exit code."""
    said: list[str] = []
    with pytest.raises(LabError, match=f"exit code is {code}") as caught:
        join.join(program(f"sys.exit({code})"), said.append)
    assert type(caught.value) is kind
    assert said == [f"the worker ended ({code}); starting it again"] * 4


@pytest.mark.parametrize("text", ["sys.exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_worker_whose_scheduler_ends_or_that_is_killed_comes_back(text: str) -> None:
    """Neither is a fault of its start, however often it happens."""
    assert starts(program(text)) == 8


def test_a_worker_that_worked_for_a_while_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end with an error after a longer life says nothing of the next one."""
    monkeypatch.setattr(join, "SOON_SECONDS", 0.0)
    assert starts(program("sys.exit(1)")) == 8


def test_attempts_in_vain_are_counted_in_a_row(tmp_path: Path) -> None:
    """One end of another kind, and it has all attempts again."""
    lives = tmp_path / "lives"
    text = f"file = open({str(lives)!r}, 'a'); file.write('x'); sys.exit(file.tell() != 4)"
    assert starts(program(text), most=20) == 4 + 4
