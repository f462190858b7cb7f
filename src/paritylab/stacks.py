"""Environments and what they run on: stacks of pinned packages, GPUs, and keys of workers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class Support:
    """How an environment runs one implementation.

    ``preload`` names modules that the worker imports before it forks; ``variables`` must be set
    before that import, so they belong to the worker's key; ``unsupported`` is the declared reason
    why this environment cannot run it.
    """

    implementation: str
    preload: tuple[str, ...]
    variables: Mapping[str, str]
    unsupported: str | None


@dataclass(frozen=True, kw_only=True)
class Stack:
    """An environment on one device: inputs and lock of its packages, and its base image.

    ``base`` is an image reference by digest, ``tag`` the same for people; ``index`` an extra
    package index (the PyTorch CPU wheels); ``overrides`` are uv override requirements;
    ``packages`` maps normalised names to the locked versions; ``lock_digest`` is the SHA-256 of
    the pins and hashes, comments left out (both empty while the lock does not exist). ``driver``
    is the oldest NVIDIA driver that the libraries work with; ``profiles`` are variables that a
    determinism profile needs on this device only, ``variables`` those of every profile; ``drop``
    are patterns of files in site-packages that the image leaves out.
    """

    device: str
    folder: Path
    base: str
    tag: str
    index: str | None
    overrides: tuple[str, ...]
    packages: Mapping[str, str]
    lock_digest: str
    driver: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()

    @property
    def requirements(self) -> Path:
        """What people write: ``cpu.in`` or ``cuda.in``."""
        return self.folder / f"{self.device}.in"

    @property
    def lock(self) -> Path:
        """What ``nox -s lock`` writes: ``cpu.lock`` or ``cuda.lock``."""
        return self.folder / f"{self.device}.lock"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One folder of ``environments/``: a pinned stack for a Python version.

    ``profiles`` maps a profile's name to the environment variables that hold the frameworks
    still; they are set before the frameworks are imported.
    """

    name: str
    folder: Path
    title: str
    python: str
    stacks: Mapping[str, Stack]
    profiles: Mapping[str, Mapping[str, str]]
    support: Mapping[str, Support]


class CpuBits(StrEnum):
    """What of the CPU an implementation's bits depend on even under the portable profile.

    ``FAMILY``: its vendor and family. ``rcpps`` and ``rsqrtps``, with which TensorFlow's kernels
    begin, approximate 1/x and 1/sqrt(x) to 12 bits, and how is left to the vendor. ``MODEL``: the
    sizes of its caches as well.
    """

    FAMILY = "family"
    MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One card: its number on the machine, identity and name, MiB of memory (all of it, and what
    nobody used when it was looked at), compute capability such as ``9.0``, and driver version.
    """

    index: int
    uuid: str
    name: str
    memory_mb: int
    free_mb: int
    capability: str
    driver: str

    @property
    def hardware(self) -> str:
        """What the last bits of a result may depend on, as expected.json names it."""
        return f"compute-{self.capability}"


@dataclass(frozen=True, kw_only=True)
class WorkerKey:
    """What one warm worker is good for: everything that must be set before the import.

    Without a ``gpu`` it runs on the CPU, also in the packages of ``cuda``. ``jobs`` is how many it
    will have, None many: what is done ahead for many takes time that few do not repay.
    """

    environment: Environment
    device: str
    profile: str
    preload: tuple[str, ...]
    variables: Mapping[str, str]
    gpu: Gpu | None = None
    jobs: int | None = None

    @property
    def name(self) -> str:
        """A short stable name, unique within a run (socket names, logs)."""
        # The GPU is among the variables, by its UUID.
        facts = (self.profile, self.preload, sorted(self.variables.items()))
        digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
        return f"{self.environment.name}-{self.device}-{digest}"

    def on(self, gpu: Gpu) -> WorkerKey:
        """The same worker with a GPU of its own."""
        # CUDA is told which card by the name that no reboot changes.
        return replace(self, gpu=gpu, variables={**self.variables, VISIBLE: gpu.uuid})
