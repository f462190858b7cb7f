"""The container that workers live in: its walls, its lifetime, and what crashed runs left."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound
from docker.types import DeviceRequest, LogConfig

from paritylab.engines.dockerclient import explained
from paritylab.engines.multiplex import raw_socket
from paritylab.imagefacts import KIND
from paritylab.stacks import Gpu

HOME = "/run/lab"
_OWNER, _PID, _STARTED, _BOOT, _RUN = (
    f"paritylab.{name}" for name in ("owner", "pid", "started", "boot", "run")
)
GONE = (404, 409)  # the engine's answers where there is no container, or it has ended
_GONE_SECONDS = 20.0
_MEMORY_SHARE = 0.8  # of the engine's machine, for all jobs of an environment together
_PIDS = 4096


@dataclass(frozen=True, kw_only=True)
class Confines:
    """How narrow a container is in which strangers' code runs.

    MiB of memory, processors, processes and threads; ``cage`` is a size of paritylab.cage (for
    ``namespaces`` its root may make them, the jobs may not); ``runtime`` names one of the engine's
    OCI runtimes (``runsc``), None is its default.
    """

    memory_mb: int
    cpus: float
    pids: int
    cage: str
    runtime: str | None = None


class Container:
    """A running sandbox; it ends when its stdin does, which this process holds.

    Nothing is mounted from the host and there is no network. Its root has no capability but to
    take a job's uid and to kill what runs under it. With ``confines`` the folders ``hidden`` are
    empty.
    """

    def __init__(
        self,
        client: Any,
        image: str,
        gpu: Gpu | None,
        *,
        confines: Confines | None = None,
        hidden: tuple[str, ...] = (),
    ) -> None:
        self._client = client
        with explained("a sandbox container"):
            machine = client.info()
            narrow = _narrow(machine, confines, hidden) if confines else {}
            walls = _walls(machine, gpu) | narrow
            self._container = client.containers.create(image, **walls)
            try:
                stream = client.api.attach_socket(self.id, params={"stdin": 1, "stream": 1})
                self._lifetime = raw_socket(stream)
                self._container.start()
            except BaseException:
                self._remove()
                raise

    @property
    def id(self) -> str:
        """The engine's id of the container."""
        return str(self._container.id)

    def runs(self) -> bool:
        """Whether it still lives; asks the engine."""
        with explained("a look at a sandbox container"):
            try:
                return bool(self._client.api.inspect_container(self.id)["State"]["Running"])
            except NotFound:
                return False

    def remove(self) -> None:
        """Kill the container with everything in it; see ``remove`` below."""
        with suppress(OSError):
            self._lifetime.close()
        self._remove()

    def _remove(self) -> None:
        with explained("the removal of a sandbox container"):
            remove(self._client, self.id)


def remove(client: Any, container: str) -> None:
    """Remove a container by force and wait until it is gone; none there is fine.

    After 20 seconds it returns all the same: the engine has been told, and goes on by itself.
    """
    deadline = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < deadline:
        try:
            client.api.remove_container(container, force=True, v=True)
        except NotFound:
            return
        except APIError as fault:
            if fault.status_code != 409:  # its own removal, begun when its stdin ended
                raise
        time.sleep(0.05)


def sweep(client: Any) -> list[str]:
    """Remove the containers whose run is dead on this machine; return their ids.

    Those of other machines (a shared remote engine) and of living runs stay.
    """
    with explained("the removal of an earlier run's containers"):
        found = orphans(client)
        for container in found:
            remove(client, container)
    return found


def orphans(client: Any) -> list[str]:
    """Return the ids of containers whose run is dead on this machine."""
    running = client.api.containers(all=True, filters={"label": f"{KIND}=run"})
    return [str(found["Id"]) for found in running if orphaned(found["Labels"])]


def ours(labels: Mapping[str, str]) -> bool:
    """Whether this very run made what has these labels."""
    return labels.get(_RUN) == _run()


def orphaned(labels: Mapping[str, str]) -> bool:
    """Whether the run that made what has these labels is dead on this machine.

    What does not tell whose it is was made by a version that did not say; nobody else will ask.
    """
    if labels.get(_OWNER, _owner()) != _owner():
        return False
    if labels.get(_BOOT) != _boot():
        return True
    return _started(labels.get(_PID, "")) != labels.get(_STARTED)


def run_labels() -> dict[str, str]:
    """Labels by which a later run knows whose container this is, and whether that run is dead."""
    me = str(os.getpid())
    return {
        KIND: "run", _RUN: _run(), _OWNER: _owner(), _BOOT: _boot(), _PID: me,
        _STARTED: _started(me),
    }  # fmt: skip


@cache
def _run() -> str:
    return secrets.token_hex(8)


def _owner() -> str:
    """This machine and its process numbers, both of which differ in a container.

    Machines that share an engine may also share a name: the identity in /etc, which is not to be
    told to others as it is, keeps them apart.
    """
    with suppress(OSError):
        machine = Path("/etc/machine-id").read_text()
        name = hashlib.sha256(f"paritylab {machine}".encode()).hexdigest()[:16]
        return f"{socket.gethostname()} {name} {os.readlink('/proc/self/ns/pid')}"
    return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _started(pid: str) -> str:
    """When a process began, in clock ticks since boot; empty if there is none of that number."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _walls(machine: dict[str, Any], gpu: Gpu | None) -> dict[str, Any]:
    memory = int(machine["MemTotal"] * _MEMORY_SHARE)
    return {
        # `cat` lives exactly as long as its stdin: when this process dies, so does all within.
        "entrypoint": ["/bin/cat"],
        "command": [],
        "stdin_open": True,
        "auto_remove": True,
        "init": True,
        "user": "0:0",
        "working_dir": HOME,
        "hostname": "lab",
        "labels": run_labels(),
        "network_mode": "none",
        "read_only": True,
        "tmpfs": {
            HOME: "size=2g,nosuid,nodev",  # the worker sets its mode: the engine ignores it here
            "/tmp": "size=1g,mode=1777,nosuid,nodev,noexec",  # noqa: S108 - inside
        },
        "shm_size": 256 << 20,
        "ipc_mode": "private",
        "cap_drop": ["ALL"],
        "cap_add": ["SETUID", "SETGID", "KILL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": _PIDS,
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(machine["NCPU"]) * 10**9,
        "log_config": LogConfig(type="json-file", config={"max-size": "1m", "max-file": "1"}),
        "device_requests": gpu_request(gpu) if gpu else None,
    }


def gpu_request(gpu: Gpu | None) -> list[DeviceRequest]:
    """Return what ``device_requests`` takes for one GPU, or for all of them.

    The toolkit brings what the capabilities name: CUDA's driver library, and nvidia-smi.
    """
    wanted = {"device_ids": [gpu.uuid]} if gpu else {"count": -1}
    return [DeviceRequest(**wanted, capabilities=[["gpu", "compute", "utility"]])]


def _narrow(machine: dict[str, Any], confines: Confines, hidden: tuple[str, ...]) -> dict[str, Any]:
    """What replaces the ordinary walls for ``confines``."""
    memory = confines.memory_mb << 20
    narrow: dict[str, Any] = {
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": confines.pids,
        "nano_cpus": int(min(confines.cpus, machine["NCPU"]) * 10**9),
        "runtime": confines.runtime,
        # As many files as are removed again in a moment.
        "tmpfs": {
            HOME: "size=2g,nr_inodes=16k,nosuid,nodev",
            "/tmp": "size=1g,nr_inodes=8k,mode=1777,nosuid,nodev,noexec",  # noqa: S108 - inside
            "/dev/shm": "size=256m,nr_inodes=4k,mode=1777,nosuid,nodev,noexec",  # noqa: S108
            **dict.fromkeys(hidden, "size=4k,nr_inodes=2,mode=0,ro"),
        },
    }
    if confines.cage == "namespaces":
        narrow["cap_add"] = ["SETUID", "SETGID", "KILL", "SYS_ADMIN", "SETPCAP"]
        # AppArmor's profile for containers denies every mount; the cage's filter takes its place
        # before a job's first instruction.
        if any("apparmor" in option for option in machine.get("SecurityOptions") or ()):
            narrow["security_opt"] = ["no-new-privileges", "apparmor=unconfined"]
    return narrow
