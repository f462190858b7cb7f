"""Hosts of a cluster on one machine: network namespaces on a bridge, each with a Docker engine.

Needs root. Everything is called ``pl-<pid>…``, and gone afterwards, also when a test fails.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.client import DockerClient
from docker.errors import DockerException

PREFIX = f"pl{os.getpid() % 100_000}"
NET = f"10.231.{os.getpid() % 250}"
OURS = f"{NET}.1"
"""This machine's address on the bridge."""


@dataclass(frozen=True)
class Machine:
    """A namespace: its name, its address, and a folder for what it keeps."""

    name: str
    address: str
    folder: Path

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a program there. (``ip netns exec`` would mount /sys anew.)"""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    @property
    def variables(self) -> dict[str, str]:
        """A home of its own, and its own engine."""
        return {
            "TMPDIR": str(self.folder / "tmp"),
            "PARITYLAB_CACHE": str(self.folder / "cache"),
            "DOCKER_HOST": f"unix://{self.socket}",
        }

    @property
    def socket(self) -> Path:
        """Where its engine listens."""
        return self.folder / "docker.sock"

    def cut_off(self) -> None:
        """Pull the cable: nothing is said, nothing arrives."""
        ip("link", "set", f"{self.name}v", "down")


def ip(*words: str) -> None:
    """Run iproute2; its complaint is the test's."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert not done.returncode, f"ip {' '.join(words)}: {done.stderr}"


def require() -> None:
    """Skip, with the reason, where namespaces cannot be made."""
    missing = [tool for tool in ("ip", "nsenter") if not shutil.which(tool)]
    if os.geteuid() or missing:
        pytest.skip(f"needs root and iproute2 for network namespaces ({', '.join(missing)})")
    probe = subprocess.run(
        ["ip", "netns", "add", f"{PREFIX}p"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"no network namespaces here: {probe.stderr.strip()}")
    ip("netns", "del", f"{PREFIX}p")


@contextmanager
def machines(folder: Path, count: int) -> Iterator[list[Machine]]:
    """So many namespaces, which reach this machine at ``OURS`` and each other by no other way."""
    require()
    bridge, names = f"{PREFIX}b", [f"{PREFIX}{number}" for number in range(count)]
    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{OURS}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        made = []
        for number, name in enumerate(names):
            one = Machine(name, f"{NET}.{number + 2}", folder / f"h{number}")
            (one.folder / "tmp").mkdir(parents=True)
            ip("netns", "add", name)
            ip("link", "add", f"{name}v", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{name}v", "master", bridge, "up")
            ip("-n", name, "addr", "add", f"{one.address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
            made.append(one)
        yield made
    finally:
        # A namespace lives on while a process in it does, and would keep its cable's name taken.
        cables = [("link", "del", f"{name}v") for name in names]
        rest = [("netns", "del", name) for name in names] + [("link", "del", bridge)]
        for words in cables + rest:
            subprocess.run(["ip", *words], capture_output=True, check=False)


@contextmanager
def engine(machine: Machine) -> Iterator[DockerClient]:
    """A Docker engine of the machine's own: its images, its containers, its processes."""
    data = machine.folder / "docker"
    words = ["dockerd", "--data-root", data, "--exec-root", machine.folder / "exec"]
    words += ["--pidfile", machine.folder / "docker.pid", "--host", f"unix://{machine.socket}"]
    # Only inside a namespace of its own: anywhere else this would take the first engine's bridge.
    words += ["--bridge", "none", "--iptables=false", "--ip6tables=false"]
    with (machine.folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            [*machine.prefix, *map(str, words)], stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield _answering(machine, process)
    finally:
        _end(process)
        shutil.rmtree(data, ignore_errors=True)


def _answering(machine: Machine, process: "subprocess.Popen[bytes]") -> DockerClient:
    for _ in range(300):
        with suppress(DockerException):
            client = DockerClient(base_url=f"unix://{machine.socket}", timeout=60)
            client.ping()
            return client
        if process.poll() is not None:
            break
        time.sleep(0.1)
    log = (machine.folder / "dockerd.log").read_text()
    return pytest.skip(f"no second Docker engine here: {log[-500:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()  # it ends its containers and its containerd
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
