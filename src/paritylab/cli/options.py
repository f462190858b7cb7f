"""The options that several commands share: described once, the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paritylab.matrix import Selection

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
        help="Base images: pull (by digest) or bootstrap (from Debian packages, as root); auto is "
        "pull. The same for every command: images of the two are different images."
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
    typer.Option(
        help="portable: the same bits on every x86-64 CPU but where a lab.toml says cpu_bits of an "
        "implementation; native: out of the box."
    ),
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
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Cells at a time; default: cores.")
]
Cold = Annotated[bool, typer.Option("--cold", help="A fresh worker for every cell.")]
StrictBits = Annotated[bool, typer.Option("--strict-bits", help="A changed digest is red.")]
Results = Annotated[Path | None, typer.Option("--results", help="Write results.json here.")]


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
