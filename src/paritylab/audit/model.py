"""What an audit found, as one document: plan, observations, tiers, what was skipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from paritylab.errors import BundleError
from paritylab.model import Verdict

SCHEMA_VERSION = 1
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class Outcome(StrEnum):
    """What became of a cell under a variation, held against the cell's own baseline run.

    ``identical``: the same bits. ``close``: other bits, within the lab's tolerance of the oracle.
    ``diverged``: outside of it, or an exact output differs. ``failed``: no outputs.
    """

    IDENTICAL = "identical"
    CLOSE = "close"
    DIVERGED = "diverged"
    FAILED = "failed"


class Tier(StrEnum):
    """How far a cell reproduces, best first; ``not audited`` is no tier and never a pass."""

    BITWISE = "bitwise"
    NUMERICAL = "numerical"
    STATISTICAL = "statistical"
    NONE = "not reproducible"
    UNKNOWN = "not audited"


class Promise(StrEnum):
    """What the determinism profile says about a variation: the same ``bits``, or ``tolerance``."""

    BITS = "bits"
    TOLERANCE = "tolerance"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first element, in the order of outputs and steps, that is not the baseline's.

    ``baseline`` and ``got`` are rendered for people; ``ulp`` counts representable numbers between
    them; ``differing`` of ``total`` elements of this output have other bits.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    output: str
    index: tuple[int, ...]
    step: int | None
    baseline: str
    got: str
    ulp: int | None
    relative: float | None
    differing: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One run of a cell.

    ``variations`` are the names of what was changed, sorted; none means a baseline run, of which
    ``repeat`` 0 is the one that all others are held against. ``phase`` is ``plan`` or ``search``
    (runs that look for a cause). ``verdict`` is that against the oracle; ``digest`` covers the
    outputs whose bits count, ``outputs`` (name -> SHA-256) each of them. ``max_ulp`` (output ->
    units in the last place) and ``max_relative`` are distances from the baseline, of the outputs
    that differ. ``seen`` is what the job itself saw (host name, CPU, time zone, ...).
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    cell: str
    variations: tuple[str, ...]
    repeat: int
    phase: str
    outcome: Outcome
    verdict: Verdict
    message: str = ""
    digest: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    first: Difference | None = None
    max_ulp: Mapping[str, int] = field(default_factory=dict)
    max_relative: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    seen: Mapping[str, str] = field(default_factory=dict)

    @property
    def moved(self) -> bool:
        """Whether bits that count are not the baseline's, or there are no outputs."""
        return self.first is not None or self.outcome is Outcome.FAILED


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """An equivalence test (TOST) of one output over seeded replicates against the oracle.

    Claimed with ``confidence`` that every element's mean is within ``margin`` (the lab's own
    tolerance) of the expected value; ``power`` is the chance to show that with this many
    ``replicates`` and this scatter, were the means equal.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    output: str
    replicates: int
    margin: float
    p_value: float
    confidence: float
    power: float
    equivalent: bool


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A smallest set of changes that moves a cell's bits, found by search.

    ``variations`` empty means that nothing has to be changed: it moves from run to run. Then
    ``held_by`` names what, held still, stops that (a frozen clock, fixed entropy), if anything
    does. ``outcome`` is the worst one seen.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    variations: tuple[str, ...]
    held_by: tuple[str, ...]
    outcome: Outcome
    first: Difference | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class CellAudit:
    """The verdict on one cell.

    ``same_bits`` are the variations (and combinations, names joined by ``+``) under which the bits
    stayed, ``moved`` those under which they did not. ``reached`` says whether the cell keeps what
    it declares (see ``tiers``), ``broken`` under what it did not. ``max_ulp`` and ``max_relative``
    are the largest distances from the baseline. ``baseline`` is the name, without folder, of the
    file with the baseline's outputs; ``by_nature`` the outputs that the lab declares to have no
    bits of their own.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    cell: str
    lab: str
    implementation: str
    environment: str
    device: str
    tier: Tier
    reached: bool
    sentence: str
    digest: str | None = None
    baseline: str | None = None
    same_bits: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    max_ulp: int | None = None
    max_relative: float | None = None
    by_nature: tuple[str, ...] = ()
    equivalences: tuple[Equivalence, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """What did not run and why: a variation (``cell`` None: everywhere), or a cell altogether."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    variation: str | None
    cell: str | None
    why: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedCondition:
    """Variations that are made together, and how many cells they apply to."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    variations: tuple[str, ...]
    repeats: int
    cells: int


@dataclass(frozen=True, kw_only=True)
class VariationNote:
    """A variation as a reader meets it: what it changes, and what the profile promises then."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    name: str
    changes: str
    promise: Promise


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was to run: the number of runs and the seconds they were thought to take."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    conditions: tuple[PlannedCondition, ...]
    runs: int
    estimated_seconds: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A whole audit.

    ``facts`` tell engine, profile, seeds, images, labs, locks and host, which is this machine, and
    the hosts and CPU of a ``cluster``, where one made runs; ``partial`` says in words what is
    missing, None when all that was planned has run.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    schema_version: int
    created: str
    paritylab: str
    partial: str | None
    facts: Mapping[str, Any]
    variations: tuple[VariationNote, ...]
    plan: Plan
    cells: tuple[CellAudit, ...]
    observations: tuple[Observation, ...]
    skipped: tuple[Skipped, ...]

    @property
    def reached(self) -> bool:
        """Whether something ran and every cell that ran keeps what it declares."""
        ran = [cell for cell in self.cells if cell.tier is not Tier.UNKNOWN]
        return bool(ran) and all(cell.reached for cell in ran)


_ADAPTER: TypeAdapter[Audit] = TypeAdapter(Audit)
_OBSERVATION: TypeAdapter[Observation] = TypeAdapter(Observation)


def to_json(audit: Audit) -> bytes:
    """Return the document as JSON, two spaces deep; the same audit gives the same bytes."""
    return _ADAPTER.dump_json(audit, indent=2) + b"\n"


def from_json(data: bytes) -> Audit:
    """Read a document; raises BundleError for another schema or whatever is no audit."""
    try:
        version = json.loads(data).get("schema_version")
    except (ValueError, RecursionError, AttributeError) as fault:
        raise BundleError("the audit is no JSON object", why=str(fault)) from None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"the audit has schema {version!r:.40}, this paritylab reads {SCHEMA_VERSION}",
            fix="read it with the paritylab that wrote it",
        )
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"the audit is broken: {first['msg']}", where=where) from None


def observation_to_plain(observation: Observation) -> dict[str, Any]:
    """Return an observation as JSON types (a journal's payload)."""
    plain: dict[str, Any] = _OBSERVATION.dump_python(observation, mode="json")
    return plain


def observation_from_plain(plain: Mapping[str, Any]) -> Observation:
    """Return what ``observation_to_plain`` was given."""
    return _OBSERVATION.validate_json(json.dumps(plain))
