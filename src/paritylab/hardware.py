"""What this machine's processor is, as far as the last bits of a result may depend on it."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from paritylab.stacks import CpuBits

CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def cpu_model() -> str:
    """The processor's own name, else what Python knows."""
    return cpu_facts().get("model name") or platform.processor() or platform.machine()


@cache
def cpu_class() -> str:
    """Vendor, family, model and cache sizes, such as ``GenuineIntel-6-143 48K/2048K/107520K``.

    TensorFlow's convolutions and larger matrix products choose their blocks by the sizes of the
    caches, so their bits may differ between CPUs with the same instructions.
    """
    facts = cpu_facts()
    kind = "-".join(facts.get(key, "?") for key in ("vendor_id", "cpu family", "model"))
    return f"{kind} {'/'.join(_cache_sizes())}".strip()


def cpu_kind(known: str, bits: CpuBits | None) -> str | None:
    """As much of a CPU's class as ``bits`` depend on: ``GenuineIntel-6`` of its family."""
    match bits:
        case CpuBits.MODEL:
            return known
        case CpuBits.FAMILY:
            return "-".join(known.split("-")[:2])
    return None


def is_kind(hardware: str | None, bits: CpuBits | None) -> bool:
    """Whether ``cpu_kind`` could have made it, of some CPU, for such ``bits``."""
    hyphens = None if hardware is None else hardware.count("-")
    return hyphens == {None: None, CpuBits.FAMILY: 1, CpuBits.MODEL: 2}[bits]


def cpu_facts() -> dict[str, str]:
    """What the kernel tells of the first processor, by its own names (``flags``, ``microcode``)."""
    try:
        first = CPUINFO.read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _cache_sizes() -> list[str]:
    """Sizes of the data and unified caches, from the nearest to the farthest."""
    sizes = []
    for index in sorted(CACHES.glob("index*")):
        try:
            kind, size = (index / name for name in ("type", "size"))
            if kind.read_text().strip() != "Instruction":
                sizes.append(size.read_text().strip())
        except OSError:
            continue
    return sizes
