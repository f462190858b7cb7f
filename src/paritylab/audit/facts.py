"""What a result may depend on, as far as this machine can tell: recorded, and compared later."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from typing import Any

from paritylab import report
from paritylab.audit.statement import sha256
from paritylab.engines.dockerclient import open_client
from paritylab.errors import LabError
from paritylab.hardware import cpu_facts
from paritylab.model import Cell, Lab
from paritylab.nvidia import gpus_here
from paritylab.stacks import Environment

SOURCES = (".py", ".toml", ".json", ".md")
"""Files of a lab that travel with the bundle."""


def host(device: str) -> dict[str, Any]:
    """The machine: CPU model, class and flags, kernel, cores, and the GPUs with their driver."""
    cpu = cpu_facts()
    return {
        **report.host(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "microcode": cpu.get("microcode", ""),
        "flags": sorted(cpu.get("flags", "").split()),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "gpus": _gpus() if device == "cuda" else [],
    }


def engine(name: str) -> dict[str, Any]:
    """The engine that the cells ran on, with the versions that a result may depend on."""
    if name != "docker":
        return {"name": name}
    client = open_client()
    version, info = client.version(), client.info()
    return {
        "name": name,
        "version": version.get("Version"),
        "kernel": version.get("KernelVersion"),
        "system": info.get("OperatingSystem"),
        "storage": info.get("Driver"),
        "cgroup": info.get("CgroupVersion"),
        "runtime": info.get("DefaultRuntime"),
        "parts": {one["Name"]: one["Version"] for one in version.get("Components") or []},
    }


def stack(environment: Environment, device: str, image: str | None) -> dict[str, Any]:
    """What an environment is made from: lock, base, variables, and the image that was run.

    Where there is no lock (this interpreter), the packages that it has.
    """
    found = environment.stacks[device]
    return {
        "environment": environment.name,
        "device": device,
        "python": environment.python,
        "lock": found.lock_digest,
        "base": found.base,
        "base_tag": found.tag,
        "image": image,
        "packages": {} if found.lock_digest else dict(sorted(found.packages.items())),
        "profiles": {name: dict(values) for name, values in environment.profiles.items()},
        "device_profiles": {name: dict(values) for name, values in found.profiles.items()},
        "device_variables": dict(found.variables),
        "preload": {
            name: list(support.preload)
            for name, support in environment.support.items()
            if not support.unsupported
        },
    }


def labs(cells: Iterable[Cell]) -> dict[str, Any]:
    """For every lab its seed, its outputs' declarations, and the SHA-256 of its files."""
    found = {cell.lab.slug: cell.lab for cell in cells}
    return {slug: _lab(lab) for slug, lab in sorted(found.items())}


def sources(lab: Lab) -> dict[str, bytes]:
    """The files of a lab, by name."""
    paths = sorted(path for path in lab.folder.iterdir() if path.suffix in SOURCES)
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def _lab(lab: Lab) -> dict[str, Any]:
    outputs = {
        name: {"compare": str(spec.compare), "steps": spec.steps, "bits": spec.bits}
        for name, spec in lab.outputs.items()
    }
    files = {name: sha256(content) for name, content in sources(lab).items()}
    requires = {name: list(one.requires) for name, one in lab.implementations.items() if one.source}
    return {"seed": lab.seed, "outputs": outputs, "files": files, "requires": requires}


def _gpus() -> list[Mapping[str, Any]]:
    try:
        return [
            {"name": gpu.name, "capability": gpu.capability, "memory_mb": gpu.memory_mb,
             "driver": gpu.driver}
            for gpu in gpus_here().gpus
        ]  # fmt: skip
    except LabError:
        return []
