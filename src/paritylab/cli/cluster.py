"""The command that makes this machine a host of a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from paritylab.cli.app import app, err
from paritylab.cluster.join import command
from paritylab.cluster.join import join as keep_joined


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def join(
    context: typer.Context,
    scheduler: Annotated[str, typer.Argument(help="Such as tcp://scheduler:8786.")],
    threads: Annotated[
        int | None, typer.Option(min=1, help="Cells at a time; default: cores.")
    ] = None,
) -> None:
    """Run cells for others: a Dask worker, started again whenever it ends, until Ctrl-C.

    What follows `--` goes to `dask worker`. Only join schedulers that you trust: whoever can talk
    to one can run code here.

    Examples: `paritylab join tcp://scheduler:8786`,
    `paritylab join tls://scheduler:8786 -- --tls-ca-file ca.pem --tls-cert c.pem --tls-key k.pem`
    """
    words = command(scheduler, threads=threads, more=[w for w in context.args if w != "--"])
    keep_joined(words, lambda text: err.print(text, style="yellow"))
