"""The Typer application, the options that commands share, and the way every run ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from paritylab.errors import EXIT_ENGINE, EXIT_INPUT, EXIT_INTERRUPTED, LabError
from paritylab.progress import Results, console

app = typer.Typer(
    help=(
        "One deep-learning scenario in PyTorch, TensorFlow 1 graphs and TensorFlow 2, in pinned "
        "environments, held against one float64 oracle.\n\n"
        "Exit codes: 0 all green, 1 a cell is not green, 2 wrong input, 3 engine trouble, "
        "130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
PLAIN_WIDTH = 200  # of a file or pipe: nobody's terminal wraps it
out = Results(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH)
err = console

PROJECT_OPTION = "--labs"


@app.callback()
def _options(
    labs: Annotated[
        Path | None,
        typer.Option(
            PROJECT_OPTION,
            metavar="PATH",
            help="The folder that holds labs/ and environments/; default: the nearest one upwards. "
            "May stand anywhere on the line.",
        ),
    ] = None,
) -> None:
    if labs:
        # A variable, so that the processes of a run look there, too.
        os.environ["PARITYLAB_ROOT"] = str(labs.absolute())


def hoisted(arguments: Sequence[str]) -> list[str]:
    """Return the command line with ``--labs PATH`` in front, wherever it stood before ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    moved: list[str] = []
    kept: list[str] = []
    before = iter(arguments[:end])
    for word in before:
        if word == PROJECT_OPTION:
            moved += [word, *([value] if (value := next(before, None)) is not None else [])]
        elif word.startswith(f"{PROJECT_OPTION}="):
            moved.append(word)
        else:
            kept.append(word)
    return [*moved, *kept, *arguments[end:]]


def run_app() -> None:
    """Run the command line; every LabError becomes its message and exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(args=hoisted(sys.argv[1:]), prog_name="paritylab", standalone_mode=False)
    except LabError as fault:
        err.print(str(fault), style="red", markup=False, highlight=False)
        code = fault.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except OSError as fault:
        words = f"{fault.filename or 'this machine'}: {fault.strerror or fault}"
        err.print(words, style="red", markup=False)
        code = EXIT_ENGINE
    except Exception as fault:
        # Usage errors of the command line; Typer vendors its base class under a private name.
        if not hasattr(fault, "show"):
            raise
        fault.show()
        code = EXIT_INPUT
    if code == EXIT_INTERRUPTED:
        err.print("interrupted; everything that was started is stopped", style="yellow")
    sys.exit(code or 0)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
