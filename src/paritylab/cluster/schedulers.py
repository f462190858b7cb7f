"""``--cluster``: which scheduler that means, and a client of it, again if it goes away."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dask
from distributed import Client, LocalCluster
from distributed.security import Security as Tls

from paritylab.cluster import quiet
from paritylab.cluster.settings import ClusterSettings, Slurm
from paritylab.errors import EngineError, UsageError

LOCAL = re.compile(r"local:([1-9][0-9]{0,2})")
ADDRESS = re.compile(r"(tcp|tls)://[^/:\s]+:[0-9]{1,5}")
CONNECT_SECONDS = 10.0
_FORMS = "tcp://scheduler:8786 (or tls://), slurm, local:2"
# A job runs in a process or container of its own: Dask has nothing to measure.
_WORKER = {"memory_limit": 0}


@dataclass(frozen=True)
class _Start:
    """What to do where workers are missing, have no GPU, or where nothing starts at all."""

    hint: str
    gpu: str
    fix: str


_STARTS = {
    "local": _Start(
        "free memory and processes on this machine",
        "leave --cluster out: this machine has none that could be found",
        "free memory and processes on this machine, or leave --cluster out",
    ),
    "slurm": _Start(
        "squeue tells why its jobs wait; more time: `workers` of [patience] in cluster.toml",
        'arguments = ["--resources", "GPU=1"] in [slurm] of cluster.toml, and directives that ask'
        " for one",
        "see that sbatch works here, and what [slurm] of cluster.toml asks for",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """A way to a scheduler; a context manager that ends what it started, and only that.

    ``connect`` may be called again after the connection broke; it raises OSError while nobody
    answers. ``start`` is what to do where workers are missing, ``start_gpu`` where they have no
    GPU.
    """

    connect: Callable[[], Client]
    close: Callable[[], None]
    start: str
    start_gpu: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_scheduler(text: str, settings: ClusterSettings, *, gpus: bool = False) -> Scheduler:
    """Return the scheduler that ``--cluster`` names; starts one for ``local:N`` and ``slurm``.

    Raises UsageError for what is none of the forms, or settings that are missing, and EngineError
    when none can be started.
    """
    _configure(settings)
    local = LOCAL.fullmatch(text)
    if local:
        # Its processes are on this machine: what protects a network is not for them.
        return _started(lambda: _local(int(local[1]), gpus=gpus), "local", lambda: None)
    if text == "slurm":
        slurm = settings.slurm
        if slurm is None:
            raise UsageError(
                "--cluster slurm needs the table [slurm]",
                where=settings.file,
                why="it says how much a job asks for",
                fix="write cores and memory there: docs/clusters.md#slurm",
            )
        return _started(lambda: _slurm(slurm, _tls(settings)), "slurm", lambda: _tls(settings))
    if not ADDRESS.fullmatch(text):
        fix = "name one of these, or start one: docs/clusters.md"
        raise UsageError(f"--cluster `{text}` is no cluster", why=f"valid: {_FORMS}", fix=fix)
    _require_fit(text, settings)

    def connect() -> Client:
        return Client(text, timeout=CONNECT_SECONDS, security=_tls(settings), set_as_default=False)

    join = f"paritylab join {text}"
    start_gpu = f"{join} (on a host with a GPU, which it tells by itself)"
    return Scheduler(connect=connect, close=lambda: None, start=join, start_gpu=start_gpu)


def _require_fit(address: str, settings: ClusterSettings) -> None:
    """Raise UsageError where only one of the two, address and settings, means TLS."""
    encrypts = address.startswith("tls:")
    if encrypts and not settings.security:
        raise UsageError(
            f"--cluster {address} needs the table [security]",
            where=settings.file,
            why="it names the certificates that tls:// is spoken with",
            fix="write ca, cert and key there: docs/clusters.md#clustertoml",
        )
    if settings.security and not encrypts:
        raise UsageError(
            f"--cluster {address} does not go with the table [security]",
            where=f"{settings.file}: security",
            why="tcp:// does not encrypt",
            fix=f"--cluster tls{address[3:]}, or take the table out",
        )


def _configure(settings: ClusterSettings) -> None:
    host = settings.patience.host
    dask.config.set({
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS:g}s",
        "distributed.comm.timeouts.tcp": f"{host:g}s",
        "distributed.scheduler.worker-ttl": f"{host:g}s",
        # Errors are told in our words, once.
        "distributed.logging.distributed": "critical",
    })  # fmt: skip
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _started(make: Callable[[], Any], kind: str, tls: Callable[[], Tls | None]) -> Scheduler:
    try:
        cluster = make()
    except ImportError as fault:
        raise UsageError(
            f"--cluster {kind} needs a package that is not here",
            why=str(fault),
            fix="pip install 'paritylab[cluster]'",
        ) from None
    except (OSError, RuntimeError, ValueError) as fault:
        raise EngineError(
            f"the {kind} cluster cannot be started", why=str(fault), fix=_STARTS[kind].fix
        ) from fault

    def connect() -> Client:
        return Client(cluster, timeout=CONNECT_SECONDS, security=tls(), set_as_default=False)

    start, start_gpu = _STARTS[kind].hint, _STARTS[kind].gpu
    return Scheduler(connect=connect, close=cluster.close, start=start, start_gpu=start_gpu)


def _local(workers: int, *, gpus: bool) -> LocalCluster:
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",  # any port: another cluster may have the usual one
        silence_logs=logging.CRITICAL,
        resources={"GPU": 1} if gpus else None,
        preload=[quiet.__name__],
        **_WORKER,
    )


def _slurm(slurm: Slurm, tls: Tls | None) -> Any:
    from paritylab.cluster.slurm import submitted  # noqa: PLC0415 - an extra; most have no SLURM

    return submitted(slurm, tls)


def _tls(settings: ClusterSettings) -> Tls | None:
    given = settings.security
    if given is None:
        return None
    for name in (given.ca, given.cert, given.key):
        if not Path(name).is_file():
            raise UsageError(f"{name} is no file", where=f"{settings.file}: security")
    return Tls(
        require_encryption=True,
        tls_ca_file=given.ca,
        tls_client_cert=given.cert,
        tls_client_key=given.key,
        tls_scheduler_cert=given.cert,
        tls_scheduler_key=given.key,
        tls_worker_cert=given.cert,
        tls_worker_key=given.key,
    )
