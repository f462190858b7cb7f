"""The Typer application, the options that commands share, and the way every run ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from paritylab.errors import EXIT_ENGINE, EXIT_INPUT, EXIT_INTERRUPTED, LabError
from paritylab.matrix import Selection
from paritylab.progress import console

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
out = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH)
err = console

Labs = Annotated[list[str] | None, typer.Option("--lab", help="Only this lab; repeatable.")]
Implementations = Annotated[
    list[str] | None,
    typer.Option("--implementation", help="Only pytorch, tf1 or tf2; repeatable."),
]
Environments = Annotated[
    list[str] | None, typer.Option("--environment", help="Only this environment; repeatable.")
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Gpus = Annotated[
    str | None,
    typer.Option("--gpus", help="With --device cuda: only these GPUs, such as 0,1; default: all."),
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="With --device cuda: its packages, on the CPU.")
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=2**32 - 1, help="Other inputs; judged by the oracle alone."),
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        help="venv: pinned virtual environments; docker: images; here: this interpreter.",
    ),
]
Base = Annotated[
    str,
    typer.Option(
        help="Base images: pull by digest, bootstrap from Debian packages, or auto (pull if it "
        "can be had)."
    ),
]
Shard = Annotated[
    str | None,
    typer.Option("--shard", metavar="2/5", help="Only this part of the matrix, of so many."),
]
BalanceBy = Annotated[
    Path | None,
    typer.Option(
        "--balance-by",
        metavar="FILE",
        help="Balance shards by the durations in this results.json; else by labs/durations.json.",
    ),
]
Profile = Annotated[
    str,
    typer.Option(help="portable: the same bits on every x86-64 CPU; native: out of the box."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Run on other machines, by Dask: tcp://scheduler:8786, slurm, or local:4 for a trial."
    ),
]
ClusterFile = Annotated[
    Path | None,
    typer.Option("--cluster-settings", help="Default: cluster.toml beside labs/, if it is there."),
]


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


def selection(
    labs: list[str] | None,
    implementations: list[str] | None,
    environments: list[str] | None,
    device: str,
) -> Selection:
    """The narrowing options as a Selection."""
    return Selection(
        labs=tuple(labs or ()),
        implementations=tuple(implementations or ()),
        environments=tuple(environments or ()),
        device=device,
    )


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
        err.print(
            f"{fault.filename or 'this machine'}: {fault.strerror}", style="red", markup=False
        )
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
