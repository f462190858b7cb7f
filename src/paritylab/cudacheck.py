"""Does a CUDA image hold what its frameworks ask for? Judged from what cudaprobe saw; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from paritylab.stacks import Stack

ORDERS = ("torch,tensorflow", "tensorflow,torch")
CUDA = re.compile("lib(cu|nv|nccl)")
# What the host's driver brings, through the container toolkit: never in an image.
DRIVER = re.compile("lib(cuda|nvidia-.*|nvoptix|nvcuvid)[.]so")
# Libraries of network cards: cuFile looks for them, and goes without where there is no such card.
OPTIONAL = re.compile("lib(mlx5|ibverbs|rdmacm)[.]so")
PACKAGES = {
    "libcublas.so": "nvidia-cublas-cu12", "libcudart.so": "nvidia-cuda-runtime-cu12",
    "libcudnn.so": "nvidia-cudnn-cu12", "libcufft.so": "nvidia-cufft-cu12",
    "libcurand.so": "nvidia-curand-cu12", "libcusolver.so": "nvidia-cusolver-cu12",
    "libcusparse.so": "nvidia-cusparse-cu12", "libnccl.so": "nvidia-nccl-cu12",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Names that every ELF file needs and mentions, by path; wheels' files that are not there."""

    needed: Mapping[str, frozenset[str]]
    mentions: Mapping[str, frozenset[str]]
    dropped: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one process saw that imported the frameworks in ``order``."""

    order: str
    faults: Mapping[str, str]
    tensorflow: Mapping[str, bool]
    mapped: tuple[str, ...]
    versions: Mapping[str, str]
    built: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One CUDA library: who asks for it, the version it tells, why it does not load (if so)."""

    library: str
    asked_by: tuple[str, ...]
    version: str
    fault: str


def parse_scan(answer: Mapping[str, Any]) -> Scan:
    """Type what ``cudaprobe scan`` printed."""
    files = answer["files"]
    return Scan(
        needed={path: frozenset(seen["needed"]) for path, seen in files.items()},
        mentions={path: frozenset(seen["mentions"]) for path, seen in files.items()},
        dropped=frozenset(answer["dropped"]),
    )


def parse_load(order: str, answer: Mapping[str, Any]) -> Load:
    """Type what ``cudaprobe load`` printed."""
    return Load(order=order, **{**answer, "mapped": tuple(answer["mapped"])})


def libraries(scan: Scan) -> list[str]:
    """Return the CUDA libraries of the image that some other file asks for."""
    return [path for path in sorted(scan.needed) if _is_cuda(path) and askers(scan, path)]


def askers(scan: Scan, path: str) -> tuple[str, ...]:
    """Return the files that need a library, or hold its name without version as a text.

    Libraries that are opened at run time are opened by name, so the name stands in the file that
    opens them; TensorFlow, which composes names, is asked itself (``Load.tensorflow``).
    """
    name = _name(path)
    stem = _stem(name)
    return tuple(
        other
        for other in sorted(scan.needed)
        if _name(other) != name and (name in scan.needed[other] or stem in scan.mentions[other])
    )


def rows(scan: Scan, loads: Sequence[Load]) -> list[Row]:
    """Return one row for each CUDA library that is asked for."""
    versions = version_of(loads[0].versions)
    return [
        Row(
            library=path,
            asked_by=askers(scan, path),
            version=versions.get(_stem(_name(path)), ""),
            fault=next((load.faults[path] for load in loads if path in load.faults), ""),
        )
        for path in libraries(scan)
    ]


def faults(stack: Stack, scan: Scan, loads: Sequence[Load]) -> list[str]:
    """Return a sentence for everything that would keep a framework from its GPU."""
    return [
        *_missing(scan),
        *_dropped(stack, scan),
        *(fault for load in loads for fault in _unloaded(load)),
        *_other_versions(stack, version_of(loads[0].versions)),
        *_older_than_built(loads[0]),
    ]


def _missing(scan: Scan) -> Iterator[str]:
    there = {_name(path) for path in scan.needed}
    for path, names in sorted(scan.needed.items()):
        for name in sorted(names - there):
            if CUDA.match(name) and not DRIVER.match(name):
                yield f"{path} needs {name}, which the image does not hold"


def _dropped(stack: Stack, scan: Scan) -> Iterator[str]:
    for pattern in stack.drop:
        gone = [name for name in scan.dropped if fnmatchcase(name, pattern)]
        if not gone:
            yield f"devices.{stack.device}.drop: {pattern} matches no file of any wheel"
        for path in gone:
            stem = _stem(_name(path))
            for other, names in sorted(scan.mentions.items()):
                if path.startswith(("nvidia/", "torch/")) and ".so" in path and stem in names:
                    yield f"{path} is left out, but {other} names it"


def _unloaded(load: Load) -> Iterator[str]:
    for path, why in sorted(load.faults.items()):
        if OPTIONAL.match(why):
            continue
        yield f"{path} does not load after {load.order}: {why}"
    for name, got in sorted(load.tensorflow.items()):
        if not got:
            yield f"TensorFlow's loader does not get {name} after {load.order}"
    for stem in sorted({_stem(_name(path)) for path in load.mapped}):
        files = [path for path in load.mapped if _stem(_name(path)) == stem]
        if len(files) > 1:
            yield f"{stem} comes from two files after {load.order}: {', '.join(files)}"


def version_of(told: Mapping[str, str]) -> dict[str, str]:
    """Return versions as dotted numbers; CUDA, cuDNN and NCCL tell theirs as one number."""
    return {name: _dotted(name, version) for name, version in told.items()}


def _dotted(name: str, version: str) -> str:
    if not version.isdigit():
        return version
    number = int(version)
    if name == "libcudart.so":  # CUDART_VERSION: 1000 major + 10 minor
        parts = [number // 1000, number % 1000 // 10]
    elif name == "libcudnn.so" and number < 10_000:  # until 8: 1000 major + 100 minor + patch
        parts = [number // 1000, number // 100 % 10, number % 100]
    else:
        parts = [number // 10_000, number // 100 % 100, number % 100]
    return ".".join(map(str, parts))


def _other_versions(stack: Stack, versions: Mapping[str, str]) -> Iterator[str]:
    for name, package in sorted(PACKAGES.items()):
        locked = stack.packages.get(package, "")
        if name not in versions:
            yield f"{name} tells no version"
        elif locked.split(".")[: len(versions[name].split("."))] != versions[name].split("."):
            yield f"{name} is {versions[name]}; the lock has {package} {locked}"


def _older_than_built(load: Load) -> Iterator[str]:
    versions, built = version_of(load.versions), load.built
    for name, framework, wanted in (
        ("libcudart.so", "torch", built["torch cuda"]),
        ("libcudart.so", "tensorflow", built["tensorflow cuda"]),
        ("libcudnn.so", "torch", _dotted("libcudnn.so", built["torch cudnn"])),
        ("libcudnn.so", "tensorflow", built["tensorflow cudnn"]),
        ("libnccl.so", "torch", built["torch nccl"]),
    ):
        have, want = _numbers(versions.get(name, "0")), _numbers(wanted)
        # Within a major version newer ones serve (CUDA's and cuDNN's promise), older ones may not.
        if have[:1] != want[:1] or have[1:2] < want[1:2]:
            yield f"{name} is {versions.get(name)}; {framework} was built with {wanted}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _is_cuda(path: str) -> bool:
    return path.startswith("nvidia/") and "/lib/" in path and bool(CUDA.match(_name(path)))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(name: str) -> str:
    return name.partition(".so")[0] + ".so"


def names(found: Iterable[str]) -> str:
    """Return the first few of many names for a table."""
    short = sorted({_name(one) for one in found})
    return ", ".join(short[:2]) + (f" and {len(short) - 2} more" if len(short) > 2 else "")
