"""The command line teaches: every help has an example that works, and output is plain for pipes."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from conftest import PROJECT

from paritylab.cli.app import app

EXAMPLE = re.compile(r"`(paritylab [^`]+)`")


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that lead to it."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, inner in sorted(command.commands.items()):
        yield from commands(inner, (*words, name))


EVERY = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_help_has_an_example_of_itself(words: tuple[str, ...]) -> None:
    """A newcomer copies a line instead of composing one."""
    examples = EXAMPLE.findall(EVERY[words].help or "")
    assert any(line.startswith(" ".join(("paritylab", *words))) for line in examples), examples


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_examples_name_commands_and_options_that_exist(words: tuple[str, ...]) -> None:
    """A renamed option takes its examples along, or this fails."""
    for line in EXAMPLE.findall(EVERY[words].help or ""):
        parts = shlex.split(line)[1:]
        led = next((known for known in EVERY if tuple(parts[: len(known)]) == known), None)
        assert led is not None, line
        command = EVERY[led]
        options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        used = {part.partition("=")[0] for part in parts if part.startswith("-")}
        assert used <= options | {"--labs", "--help"}, line


def said(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a command prints into a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "paritylab", *arguments],
        cwd=PROJECT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("run", "--help"), ("run", "--lab", "trian"), ("matrix", "--json")],
    ids=" ".join,
)
def test_output_into_a_pipe_is_plain(arguments: tuple[str, ...]) -> None:
    """No escape sequence in a file or log; errors are whole sentences there, too."""
    done = said(*arguments)
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout + done.stderr


def test_no_color_is_obeyed_on_a_terminal() -> None:
    """https://no-color.org: colours go even where a terminal would show them."""
    colored = said("list", FORCE_COLOR="1", NO_COLOR="")
    plain = said("list", FORCE_COLOR="1", NO_COLOR="1")
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m|\x1b\[1m", colored.stdout)
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7])[;m]", plain.stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_had_for_the_usual_shells(shell: str) -> None:
    """What `paritylab --show-completion` prints, here without asking which shell it is."""
    done = said(_PARITYLAB_COMPLETE=f"source_{shell}")
    assert done.returncode == 0, done.stderr
    assert "_PARITYLAB_COMPLETE" in done.stdout


def test_completion_knows_the_commands() -> None:
    """A tab after `paritylab doc`."""
    done = said(_PARITYLAB_COMPLETE="complete_bash", COMP_WORDS="paritylab doc", COMP_CWORD="1")
    assert done.stdout.split() == ["doctor"]


def test_completion_of_a_word_knows_all_that_begin_so() -> None:
    """Also where the beginning is itself a command, of another module."""
    done = said(_PARITYLAB_COMPLETE="complete_bash", COMP_WORDS="paritylab bench", COMP_CWORD="1")
    assert done.stdout.split() == ["bench", "bench-cluster"]
    done = said(
        _PARITYLAB_COMPLETE="complete_bash", COMP_WORDS="paritylab run --la", COMP_CWORD="2"
    )
    assert done.stdout.split() == ["--lab"]
