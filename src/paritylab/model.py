"""The vocabulary as frozen types: what the catalog parses and everything else speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from paritylab.rubric import Rubric
from paritylab.stacks import (  # noqa: F401 - words, too
    VISIBLE,
    CpuBits,
    Environment,
    Gpu,
    Stack,
    Support,
    WorkerKey,
)

IMPLEMENTATIONS = ("pytorch", "tf1", "tf2")
DEVICES = ("cpu", "cuda")
PROFILES = ("portable", "native")

Value = np.ndarray | bool | int | float | str
"""What a scenario ships and an implementation returns: an array, a scalar or a string."""
Values = Mapping[str, Value]


class Comparison(StrEnum):
    """How an output is held against its expected value."""

    EXACT = "exact"
    CLOSE = "close"
    MEASURED = "measured"


class Verdict(StrEnum):
    """What became of a cell."""

    IDENTICAL = "identical"
    CLOSE = "close"
    DIVERGED = "diverged"
    FAILED = "failed"
    TIMEOUT = "timeout"
    KILLED = "killed"
    UNSUPPORTED = "unsupported"

    @property
    def green(self) -> bool:
        """True for the two verdicts that confirm reproducibility."""
        return self in (Verdict.IDENTICAL, Verdict.CLOSE)


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSpec:
    """One declared output of a lab.

    ``|got - expected| <= atol + rtol * |expected|`` is the rule when ``compare`` is ``close``
    (the rule of ``numpy.isclose``); ``measured`` values (times) are checked for dtype, shape and
    finiteness only, and are no part of the digest; ``steps`` says that axis 0 counts training
    steps; ``per_implementation`` that the oracle expects a value of its own from each
    implementation; ``bits`` False that the last bits differ between machines by nature (a compiler
    that may be there or not), so that they are no part of the digest; ``partial`` that a graded
    curve earns the share of its points that its steps before the first divergence are.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    compare: Comparison
    rtol: float
    atol: float
    steps: bool
    per_implementation: bool
    bits: bool
    why: str
    points: float
    partial: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one cell may use: seconds of wall time, MiB of memory, MiB of outputs.

    ``gpu_memory_mb`` is its share of a GPU, CUDA's own overhead included; on the CPU it is nothing.
    """

    seconds: float = 60.0
    memory_mb: int = 2048
    output_mb: int = 64
    gpu_memory_mb: int = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A claim of the guide, in our words, with today's verdict and what shows it."""

    text: str
    verdict: str
    evidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LabImplementation:
    """How a lab is written for one programming model.

    ``requires`` holds packaging requirements that an environment's lock must satisfy;
    ``unsupported`` is the reason why this lab has no such implementation (then ``source`` is
    None). Where there are ``cpu_bits``, a digest is recorded for each kind of CPU that we had.
    """

    name: str
    source: Path | None
    requires: tuple[str, ...]
    unsupported: str | None
    cpu_bits: CpuBits | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lab:
    """One folder of ``labs/``.

    ``stages`` are functions of every implementation, run in order, each in a process of its own
    with a shared working directory; their outputs are merged.
    """

    slug: str
    folder: Path
    title: str
    guide: str
    seed: int
    stages: tuple[str, ...]
    outputs: Mapping[str, OutputSpec]
    implementations: Mapping[str, LabImplementation]
    limits: Limits
    claims: tuple[Claim, ...]
    rubric: Rubric | None

    @property
    def scenario(self) -> Path:
        """The framework-free part: ``inputs(seed)`` and ``oracle(inputs)``."""
        return self.folder / "scenario.py"

    @property
    def expected(self) -> Path:
        """Oracle values and recorded digests, written by ``nox -s accept``."""
        return self.folder / "expected.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """Lab x implementation x environment x device: the unit that runs."""

    lab: Lab
    implementation: str
    environment: Environment
    device: str
    unsupported: str | None

    @property
    def cpu_bits(self) -> CpuBits | None:
        """What of the CPU its bits depend on, by the lab's own word."""
        ours = self.lab.implementations.get(self.implementation)
        return ours.cpu_bits if ours else None

    @property
    def id(self) -> str:
        """``train-tf1@tf1-compat-cpu``: composed here, parsed nowhere."""
        return f"{self.lab.slug}-{self.implementation}@{self.environment.name}-{self.device}"

    def worker_key(self, profile: str, gpu: Gpu | None = None) -> WorkerKey:
        """The worker that can run this cell under ``profile``, on a GPU or on the CPU."""
        support = self.environment.support[self.implementation]
        stack = self.environment.stacks[self.device]
        key = WorkerKey(
            environment=self.environment,
            device=self.device,
            profile=profile,
            preload=support.preload,
            variables={
                **self.environment.profiles[profile],
                **stack.variables,
                **stack.profiles.get(profile, {}),
                **support.variables,
                **({VISIBLE: ""} if self.device == "cuda" else {}),  # none: hides all of them
            },
        )
        return key.on(gpu) if gpu else key


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """Where an output left what was expected: the first element in step order.

    ``expected`` and ``got`` are rendered for people; ``ulp`` counts representable numbers of the
    output's dtype between them; ``outside`` of ``total`` elements are beyond the tolerance.
    """

    output: str
    index: tuple[int, ...]
    step: int | None
    expected: str
    got: str
    ulp: int | None
    relative: float | None
    allowed: float
    outside: int
    total: int


class Shared(dict[str, Any]):
    """A mapping that thousands of results hold: nothing is put into it or taken out of it."""

    __slots__ = ()

    def _refused(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("other results hold this mapping, too: make a dict of it")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = _refused
    __ior__ = _refused

    def __reduce__(self) -> tuple[type[Shared], tuple[dict[str, Any]]]:
        """Copies and pickles are made whole, not filled."""
        return Shared, (dict(self),)


NOTHING = Shared()
_POOLED = 512
_pool: dict[tuple[str, ...], Shared] = {}


def _nothing() -> Shared:
    return NOTHING


def shared(values: Mapping[str, Any]) -> Shared:
    """Return numbers or strings by name as one mapping for all who have the same, for a while."""
    if isinstance(values, Shared):
        return values
    if not values:
        return NOTHING
    if len(_pool) >= _POOLED:
        _pool.clear()
    # Numbers by their words: 0.0 equals -0.0, 0 and False, and none is the other in a file.
    return _pool.setdefault((*values, *map(repr, values.values())), Shared(values))


@dataclass(frozen=True, kw_only=True, slots=True)
class CellResult:
    """The verdict of one cell with its evidence; plain data, ready for JSON.

    ``measured`` holds the measured outputs as nested lists, ``curves`` the one-dimensional outputs
    over steps, ``texts`` the strings; ``hardware`` is what the bits depend on beside the lock.
    Small: ten thousand are held at once.
    """

    cell: str
    lab: str
    implementation: str
    environment: str
    device: str
    profile: str
    verdict: Verdict
    seed: int = 0
    message: str = ""
    divergences: tuple[Divergence, ...] = ()
    digest: str | None = None
    recorded_digest: str | None = None
    bit_drift: bool = False
    measured: Mapping[str, Any] = field(default_factory=_nothing)
    curves: Mapping[str, list[float]] = field(default_factory=_nothing)
    expected_curves: Mapping[str, list[float]] = field(default_factory=_nothing)
    texts: Mapping[str, str] = field(default_factory=_nothing)
    tolerance_used: Mapping[str, float] = field(default_factory=_nothing)
    max_error: Mapping[str, float] = field(default_factory=_nothing)
    max_ulp: Mapping[str, int] = field(default_factory=_nothing)
    seconds: float = 0.0
    worker_seconds: float = 0.0
    peak_memory_mb: float | None = None
    stdout: str = ""
    stderr: str = ""
    versions: Mapping[str, str] = field(default_factory=_nothing)
    hardware: str | None = None

    def __post_init__(self) -> None:
        for name in ("measured", "curves", "expected_curves", "texts"):
            if not getattr(self, name):
                object.__setattr__(self, name, NOTHING)
        for name in ("tolerance_used", "max_error", "max_ulp", "versions"):
            object.__setattr__(self, name, shared(getattr(self, name)))
        if self.recorded_digest == self.digest:
            object.__setattr__(self, "recorded_digest", self.digest)
