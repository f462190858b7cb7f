"""cluster.toml: how jobs are submitted, who may listen, where images come from, how long to wait.

Read beside labs/ and environments/, or where ``--cluster-settings`` says; every key has a default
but those of ``[slurm]`` that only the site knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from paritylab.schema import parse_toml
from paritylab.strict import NonEmpty, Strict

FILE = "cluster.toml"
_Seconds = Annotated[float, Field(gt=0, le=86_400)]


def _absolute(path: str) -> str:
    if not Path(path).is_absolute():
        raise ValueError("write an absolute path: it is looked for on every host")
    return path


class Slurm(Strict):
    """``[slurm]``: what dask-jobqueue submits. ``jobs`` of ``cores`` each, for ``walltime``.

    ``python`` is the interpreter on the nodes, ``interface`` the network that they share with
    this machine; ``prologue`` are lines of shell before the worker, ``directives`` lines for
    ``#SBATCH``, ``arguments`` those of ``dask worker``.
    """

    jobs: Annotated[int, Field(ge=1, le=10_000)] = 1
    cores: Annotated[int, Field(ge=1)]
    memory: NonEmpty
    walltime: NonEmpty = "01:00:00"
    queue: str | None = None
    account: str | None = None
    interface: str | None = None
    python: str | None = None
    prologue: tuple[str, ...] = ()
    directives: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    logs: str | None = None
    local_folder: str | None = None


class Security(Strict):
    """``[security]``: PEM files with which everything of the cluster speaks TLS.

    In the file their names are relative to its folder.
    """

    ca: NonEmpty
    cert: NonEmpty
    key: NonEmpty


class Patience(Strict):
    """``[patience]``: seconds to wait for a worker (or one with a GPU), and for a scheduler that
    went away or says nothing.

    A ``host`` that says nothing for so long is given up; TCP's own probes need 11 s. Batches that
    are out are given up when for an ``answer``, to any of them, this time has passed.
    """

    workers: _Seconds = 60.0
    scheduler: _Seconds = 120.0
    answer: _Seconds = 7200.0
    host: Annotated[float, Field(ge=11, le=86_400)] = 30.0


class Images(Strict):
    """``[images]``: where hosts find what they lack before they build it.

    ``folder`` holds what ``paritylab images export`` wrote, by the same path on every host;
    ``registry`` is a host and port, with a path if need be, to pull from.
    """

    folder: Annotated[str, AfterValidator(_absolute)] | None = None
    registry: str | None = None


class ClusterSettings(Strict):
    """The whole file; ``file`` is what messages call it."""

    slurm: Slurm | None = None
    security: Security | None = None
    patience: Patience = Patience()
    images: Images = Images()
    _file: str = FILE

    @property
    def file(self) -> str:
        """Where it was read, or would be."""
        return self._file


def read(path: Path | None, root: Path) -> ClusterSettings:
    """Return the settings of ``path``, of the project at ``root``, or the defaults.

    Raises CatalogError, also when ``path`` is not there.
    """
    if path is None:
        path = root / FILE
        if not path.is_file():
            return ClusterSettings()
    found = parse_toml(path, ClusterSettings, shown=str(path))
    if found.security:
        beside = {name: str(path.absolute().parent / pem) for name, pem in found.security}
        found = found.model_copy(update={"security": Security(**beside)})
    found._file = str(path)
    return found
