"""One implementation of one submission on one hidden seed, and how it is kept in the journal."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from paritylab.errors import JournalError
from paritylab.grade.model import Curve
from paritylab.model import Divergence


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What one output earned in one trial: a share of its points from 0 to 1.

    ``words`` says what was wrong without a hidden value, ``hidden`` the same with values.
    """

    output: str
    share: float
    verdict: str
    words: str = ""
    hidden: str = ""
    divergence: Divergence | None = None
    curve: Curve | None = None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of one implementation on one hidden seed, once.

    ``source`` is the digest of the text that ran; ``status`` that of a JobResult; ``seconds`` were
    spent in the submission's own code, ``wall`` from asking to the answer (the last time, if it was
    asked again).
    """

    implementation: str
    seed: int
    repeat: int
    source: str
    status: str
    marks: tuple[Mark, ...]
    seconds: float = 0.0
    wall: float = 0.0
    peak_memory_mb: float | None = None
    stdout: str = ""
    stderr: str = ""
    suspicious: tuple[str, ...] = ()


_TRIALS = TypeAdapter(Trial)


def unit_of(student: str, implementation: str, seed: int, repeat: int) -> str:
    """The journal's name for a trial: composed here, parsed nowhere."""
    return f"{units_of(student)}{implementation}/{seed}/{repeat}"


def units_of(student: str) -> str:
    """What the names of all of a student's units begin with, and of nobody else's."""
    return f"{student}/"


def source_digest(text: str) -> str:
    """Which text it was: SHA-256 of its UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def packed(trial: Trial) -> dict[str, Any]:
    """A trial as the journal takes it: JSON, with NaN and Infinity as text."""
    plain: dict[str, Any] = _finite(asdict(trial))
    return plain


def unpacked(payload: Mapping[str, Any], *, where: str) -> Trial:
    """A trial as it was packed; raises JournalError for anything else."""
    try:
        return _TRIALS.validate_python(payload)
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise JournalError(
            f"a unit's `{key}` is broken: {first['msg']}",
            where=where,
            fix="grade that student again with --regrade",
        ) from None


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
