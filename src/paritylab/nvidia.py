"""What stands between a program and a GPU, looked at from outside; each gap has its command.

The pieces are NVIDIA's: the kernel driver (device files, ``/proc/driver/nvidia/version``),
``nvidia-smi`` which comes with it, and for containers the NVIDIA container toolkit, which the
Docker engine finds as a command on its path, as a runtime of its own, or as CDI devices.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paritylab.commands import Command, try_run
from paritylab.errors import NoGpuError
from paritylab.gpus import SHOWN, Sighting, look

DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))  # dxg: Windows Subsystem for Linux
DRIVER = Path("/proc/driver/nvidia/version")
TOOLKIT = ("nvidia-container-runtime-hook", "nvidia-ctk")
CDI = (Path("/etc/cdi"), Path("/var/run/cdi"))
SMI_SECONDS = 60.0
OTHER_PLACES = "/usr/lib/wsl/lib:/opt/bin"
INSTALL_DRIVER = "sudo ubuntu-drivers install && sudo reboot (or https://www.nvidia.com/drivers)"
WITHOUT = "or prove the images without a GPU: nox -s lab-cuda -- --smoke"
INSTALL_TOOLKIT = (
    "sudo apt-get install -y nvidia-container-toolkit "
    "(its source: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit)"
)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One thing that was looked for: its names, short and full, whether it is there, the remedy."""

    short: str
    name: str
    there: bool
    fix: str


def local_pieces() -> list[Piece]:
    """Look at this machine for what every program needs that uses a GPU."""
    devices = " or ".join(map(str, DEVICES))
    return [
        Piece(
            short="card",
            name=f"an NVIDIA device ({devices})",
            there=any(path.exists() for path in DEVICES),
            fix="lspci | grep -i nvidia (it must list one; the driver makes its device files)",
        ),
        Piece(
            short="driver",
            name=f"the driver ({DRIVER})",
            # WSL's driver lives in Windows; its device file is all there is to see.
            there=DRIVER.exists() or DEVICES[1].exists(),
            fix=INSTALL_DRIVER,
        ),
    ]


def engine_pieces(info: Mapping[str, Any], *, local: bool) -> list[Piece]:
    """Look at a Docker engine (its ``info``) for what containers need; ``local``: it runs here."""
    runtimes = info.get("Runtimes") or {}
    discovered = str(info.get("DiscoveredDevices") or "")
    cdi = "nvidia.com/gpu" in discovered
    if local:
        cdi = cdi or any("nvidia" in file.name for path in CDI for file in path.glob("*.[jy]*"))
    pieces = [
        Piece(
            short="runtime",
            name="the engine's runtime `nvidia`, or CDI devices `nvidia.com/gpu`",
            there="nvidia" in runtimes or cdi,
            fix="sudo nvidia-ctk runtime configure --runtime=docker && "
            "sudo systemctl restart docker",
        )
    ]
    if local:
        hook = any(shutil.which(name) for name in TOOLKIT)
        name = f"the NVIDIA container toolkit ({' or '.join(TOOLKIT)})"
        pieces.insert(0, Piece(short="toolkit", name=name, there=hook, fix=INSTALL_TOOLKIT))
    return pieces


def refusal(pieces: Sequence[Piece], *, where: str, why: str = "") -> NoGpuError:
    """Return the one error that tells everything that was looked for, and what to type."""
    told = [f"{'found' if piece.there else 'missing'}: {piece.name}" for piece in pieces]
    fixes = [f"{piece.short}: {piece.fix}" for piece in pieces if not piece.there]
    return NoGpuError(
        "no GPU can be used",
        where=where,
        why="\n       ".join(filter(None, [why, *told])),
        fix="\n       ".join([*fixes, WITHOUT]),
    )


def ask_here(argv: Sequence[str]) -> str:
    """Run ``nvidia-smi`` on this machine; what it printed, or why it could not run."""
    path = shutil.which(argv[0]) or shutil.which(argv[0], path=OTHER_PLACES)
    if not path:
        return f"{argv[0]} is not on the PATH"
    command = Command(argv=[path, *argv[1:]], what=f"{argv[0]} failed")
    finished = try_run(command, timeout=SMI_SECONDS)
    return f"{finished.stdout}\n{finished.stderr}"


def gpus_here() -> Sighting:
    """Return the GPUs of this machine; raises NoGpuError where there can be none."""
    pieces = local_pieces()
    if not any(piece.there for piece in pieces):
        raise refusal(pieces, where="this machine")
    seen = look(ask_here)
    if not seen.gpus:
        raise refusal(pieces, where="this machine", why="; ".join(seen.complaints[:SHOWN]))
    return seen
