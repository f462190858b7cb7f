"""GPUs as ``nvidia-smi`` tells them: parsed, chosen, held against what the wheels need; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from paritylab.errors import NoGpuError, UsageError
from paritylab.stacks import Environment, Gpu

QUERY = ("index", "uuid", "name", "memory.total", "memory.free", "driver_version", "compute_cap")
UNKNOWN = "unknown"
"""The compute capability where a driver is too old to tell it (before 510)."""
SHOWN = 5
Ask = Callable[[Sequence[str]], str]
"""Runs a command beside the GPUs and returns what it printed, whatever its exit status."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What one look at the GPUs gave: those that answer, and what was said of the others."""

    gpus: tuple[Gpu, ...]
    complaints: tuple[str, ...]


def look(ask: Ask) -> Sighting:
    """Ask ``nvidia-smi`` for the GPUs; an old one that knows no compute capability is asked again.

    The fields are described by ``nvidia-smi --help-query-gpu``.
    """
    said = ask(command(QUERY))
    if "not a valid field" in said:
        said = ask(command(QUERY[:-1]))
    return parse(said)


def command(fields: Sequence[str]) -> list[str]:
    """Return the command line that prints one line of ``fields`` for each GPU."""
    return ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]


def parse(text: str) -> Sighting:
    """Read the answer line by line; whatever is no complete GPU is a complaint, never an error."""
    found: dict[str, Gpu] = {}
    complaints = []
    for line in filter(None, map(str.strip, text.splitlines())):
        gpu = _gpu(line)
        if gpu:
            found[gpu.uuid] = gpu
        else:
            complaints.append(line)
    return Sighting(
        gpus=tuple(sorted(found.values(), key=lambda gpu: gpu.index)), complaints=tuple(complaints)
    )


def _gpu(line: str) -> Gpu | None:
    fields = line.split(",")
    if len(fields) == len(QUERY) - 1:
        fields.append(UNKNOWN)
    if len(fields) != len(QUERY):
        return None
    index, uuid, name, total, free, driver, capability = (field.strip() for field in fields)
    # ASCII only: int() also takes other scripts' digits.
    numbers = all(re.fullmatch(r"[0-9]{1,9}", text) for text in (index, total, free))
    if not numbers or not uuid.startswith(("GPU-", "MIG-")) or not versions(driver):
        return None
    if capability != UNKNOWN and not re.fullmatch(r"[0-9]{1,3}\.[0-9]{1,3}", capability):
        return None
    return Gpu(
        index=int(index), uuid=uuid, name=name, memory_mb=int(total), free_mb=int(free),
        capability=capability, driver=driver,
    )  # fmt: skip


def versions(text: str) -> tuple[int, ...]:
    """Return ``550.54.15`` as numbers; nothing for what is no version."""
    parts = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})*", text)
    return tuple(map(int, text.split("."))) if parts else ()


def indices(text: str | None) -> tuple[int, ...] | None:
    """Parse ``--gpus 0,1``; None (all of them) for nothing or ``all``. Raises UsageError."""
    if text is None or text.strip() == "all":
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,4}", part) for part in parts):
        raise UsageError(
            f"--gpus {text!r} is no list of GPU numbers",
            why="numbers as nvidia-smi counts them, with commas between",
            fix="--gpus 0,1 (or leave it out: all of them)",
        )
    return tuple(dict.fromkeys(map(int, parts)))


def choose(sighting: Sighting, wanted: Sequence[int] | None) -> tuple[Gpu, ...]:
    """Return the wanted GPUs, or all; UsageError for an unknown number, NoGpuError for none."""
    if not sighting.gpus:
        raise NoGpuError(
            "no GPU answers",
            why="; ".join(sighting.complaints[:SHOWN]) or "nvidia-smi lists none",
            fix="nvidia-smi (a lost GPU needs a reset or a reboot: `sudo dmesg | grep -i xid`)",
        )
    by_index = {gpu.index: gpu for gpu in sighting.gpus}
    unknown = [index for index in wanted or () if index not in by_index]
    if unknown:
        there = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in sighting.gpus)
        raise UsageError(
            f"unknown GPU {', '.join(map(str, unknown))}",
            why="; ".join([f"there is {there}", *sighting.complaints[:SHOWN]]),
            fix=f"--gpus {','.join(map(str, sorted(by_index)))}",
        )
    return tuple(by_index[index] for index in wanted) if wanted else sighting.gpus


def require_drivers(gpus: Iterable[Gpu], environments: Iterable[Environment]) -> None:
    """Raise NoGpuError when a driver is older than the CUDA wheels of an environment need.

    CUDA 12 runs on every driver from 525.60.13 on (CUDA Compatibility, NVIDIA, "minor version
    compatibility"); environment.toml says it for each stack.
    """
    for environment in environments:
        needed = environment.stacks["cuda"].driver
        for gpu in gpus:
            if needed and versions(gpu.driver) < versions(needed):
                raise NoGpuError(
                    f"the NVIDIA driver {gpu.driver} is older than {needed}",
                    where=f"environments/{environment.name}/environment.toml: devices.cuda.driver",
                    why=f"the CUDA libraries of {environment.name} do not start on it "
                    f"(GPU {gpu.index}, {gpu.name})",
                    fix="install a newer driver on the host (ubuntu-drivers install, or "
                    "https://www.nvidia.com/drivers), reboot, then `nvidia-smi`; no image changes",
                )
