"""outputs against expected values; pure. The rule is that of ``numpy.isclose``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from paritylab.digest import canonical, dtype_name
from paritylab.errors import nearest
from paritylab.model import Comparison, Divergence, OutputSpec, Value

Values = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a comparison found.

    ``faults`` are breaches of the contract (names, dtypes, shapes), as sentences; where there is
    one the numbers of that output are not compared. ``max_error`` is, per output, the largest
    |got - expected|, ``tolerance_used`` the same over what is allowed there (1.0 = at the limit),
    ``max_ulp`` the largest distance in representable numbers of the output's dtype.
    """

    faults: tuple[str, ...] = ()
    divergences: tuple[Divergence, ...] = ()
    tolerance_used: Mapping[str, float] = field(default_factory=dict)
    max_error: Mapping[str, float] = field(default_factory=dict)
    max_ulp: Mapping[str, int] = field(default_factory=dict)


def compare(outputs: Values, expected: Values, specs: Mapping[str, OutputSpec]) -> Report:
    """Hold ``outputs`` against ``expected``, output by output in the order of ``specs``.

    ``expected`` holds float64 (or exact) values of the declared shapes.
    """
    faults = _undeclared(outputs, specs)
    divergences: list[Divergence] = []
    used: dict[str, float] = {}
    errors: dict[str, float] = {}
    ulps: dict[str, int] = {}
    for name, spec in specs.items():
        if name not in outputs:
            faults.append(_missing(name, outputs, specs))
            continue
        got = canonical(outputs[name])
        fault = contract_fault(name, got, spec)
        if fault:
            faults.append(fault)
        if fault or spec.compare is Comparison.MEASURED:
            continue
        difference = _difference(got, expected[name], spec)
        divergences += [difference.divergence] if difference.divergence else []
        used[name], errors[name] = difference.used, difference.error
        if difference.ulp is not None:
            ulps[name] = difference.ulp
    return Report(
        faults=tuple(faults),
        divergences=tuple(divergences),
        tolerance_used=used,
        max_error=errors,
        max_ulp=ulps,
    )


def _undeclared(outputs: Values, specs: Mapping[str, OutputSpec]) -> list[str]:
    return [
        f"outputs.{name}: returned but not declared in lab.toml; {nearest(name, specs)}"
        for name in outputs
        if name not in specs
    ]


def _missing(name: str, outputs: Values, specs: Mapping[str, OutputSpec]) -> str:
    extra = [other for other in outputs if other not in specs]
    hint = f"; {nearest(name, extra)}" if extra else ""
    returned = ", ".join(sorted(outputs)) or "nothing"
    return f"outputs.{name}: declared in lab.toml but not returned; got {returned}{hint}"


def contract_fault(name: str, value: np.ndarray | str, spec: OutputSpec) -> str | None:
    """Return how a canonical value breaks its declaration (dtype, shape), or None."""
    if dtype_name(value) != spec.dtype:
        return f"outputs.{name}: dtype {dtype_name(value)}, lab.toml declares {spec.dtype}"
    shape = () if isinstance(value, str) else value.shape
    if shape != spec.shape:
        return f"outputs.{name}: shape {list(shape)}, lab.toml declares {list(spec.shape)}"
    numbers = spec.compare is Comparison.MEASURED and not isinstance(value, str)
    if numbers and not np.isfinite(value).all():
        return f"outputs.{name}: a measurement is not finite"
    return None


@dataclass(frozen=True, kw_only=True)
class _Difference:
    divergence: Divergence | None
    used: float
    error: float
    ulp: int | None


def _difference(got: np.ndarray | str, expected: Value, spec: OutputSpec) -> _Difference:
    if isinstance(got, str) or isinstance(expected, str):
        return _string_difference(str(got), str(expected), spec)
    want = np.asarray(expected)
    if spec.compare is Comparison.EXACT:
        # Equal in the output's own dtype: the oracle's float64 is rounded to it once.
        want = want.astype(got.dtype)
        allowed = np.zeros(got.shape)
        outside = ~((got == want) & _same_sign_of_zero(got, want))
    else:
        want = want.astype(np.float64)
        allowed = spec.atol + spec.rtol * np.abs(want)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = np.abs(got.astype(np.float64) - want.astype(np.float64))
        shares = np.where(error == 0, 0.0, error / allowed)
        if spec.compare is Comparison.CLOSE:
            outside = ~(error <= allowed)  # NaN is outside too
    ulp = ulp_distance(got, want.astype(got.dtype)) if got.dtype.kind == "f" else None
    return _Difference(
        divergence=_first(got, want, spec=spec, outside=outside, allowed=allowed, ulp=ulp),
        used=float(np.max(shares, initial=0.0)),
        error=float(np.max(error, initial=0.0)),
        ulp=None if ulp is None else int(np.max(ulp, initial=0)),
    )


def _same_sign_of_zero(got: np.ndarray, want: np.ndarray) -> NDArray[np.bool_] | bool:
    return np.signbit(got) == np.signbit(want) if got.dtype.kind == "f" else True


def _string_difference(got: str, want: str, spec: OutputSpec) -> _Difference:
    if got == want:
        return _Difference(divergence=None, used=0.0, error=0.0, ulp=None)
    at = next(
        (i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b),
        min(len(got), len(want)),
    )
    around = slice(max(0, at - 20), at + 20)
    divergence = Divergence(
        output=spec.name,
        index=(at,),
        step=None,
        expected=repr(want[around]),
        got=repr(got[around]),
        ulp=None,
        relative=None,
        allowed=0.0,
        outside=1,
        total=1,
    )
    return _Difference(divergence=divergence, used=np.inf, error=np.inf, ulp=None)


def _first(  # noqa: PLR0913 - one fact each; axis 0 first, as C order is
    got: np.ndarray,
    want: np.ndarray,
    *,
    spec: OutputSpec,
    outside: NDArray[np.bool_],
    allowed: np.ndarray,
    ulp: NDArray[np.uint64] | None,
) -> Divergence | None:
    count = int(np.count_nonzero(outside))
    if count == 0:
        return None
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(outside)), outside.shape))
    expected, actual = want[index], got[index]
    finite = bool(np.isfinite(actual)) and expected != 0
    return Divergence(
        output=spec.name,
        index=index,
        step=index[0] if spec.steps else None,
        expected=f"{expected.item()!r}",
        got=str(actual),  # as few digits as tell it from its neighbours
        ulp=int(ulp[index]) if ulp is not None and np.isfinite(actual) else None,
        relative=abs(float(actual) / float(expected) - 1) if finite else None,
        allowed=float(allowed[index]),
        outside=count,
        total=int(outside.size),
    )


def ulp_distance(a: np.ndarray, b: np.ndarray) -> NDArray[np.uint64]:
    """Return how many representable numbers lie between ``a`` and ``b``, element by element.

    Both have one float dtype and one shape. -0.0 and 0.0 are neighbours at distance 0. The
    IEEE 754 bit patterns, read as sign and magnitude, are in the order of the numbers.
    """
    x, y = _ordered(a), _ordered(b)
    return np.where(x > y, x - y, y - x)


def _ordered(values: np.ndarray) -> NDArray[np.uint64]:
    bits = values.dtype.itemsize * 8
    raw = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").astype(np.uint64)
    raw = raw.reshape(values.shape)
    sign = np.uint64(1 << (bits - 1))
    magnitude = raw & (sign - np.uint64(1))
    middle = np.uint64(1 << 63)
    return np.where(raw & sign, middle - magnitude, middle + magnitude)
