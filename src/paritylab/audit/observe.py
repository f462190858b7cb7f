"""A worker's answer, held against the cell's baseline -> an observation; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from paritylab.audit.model import Difference, Observation, Outcome
from paritylab.compare import ulp_distance
from paritylab.digest import canonical, digest
from paritylab.judge import judge
from paritylab.model import Cell, CellResult, Comparison, OutputSpec, Value, Verdict
from paritylab.scenarios import Problem
from paritylab.wire import JobResult

Values = Mapping[str, Value]


def observe(
    blank: Observation, cell: Cell, answer: JobResult, *, problem: Problem, baseline: Values | None
) -> Observation:
    """Return ``blank`` completed; ``baseline`` None makes this answer its own."""
    result = judge(_nobody(cell), cell, answer, problem=problem, strict_bits=False)
    seen = replace(blank, verdict=result.verdict, message=result.message, seconds=answer.seconds)
    if answer.status != "ok":
        return replace(seen, outcome=Outcome.FAILED)
    values = kept(cell, answer.values)
    against = values if baseline is None else baseline
    counted = with_bits(cell)
    moved = first_difference(cell, against, values)
    return replace(
        seen,
        outcome=_outcome(result.verdict, moved is not None),
        digest=digest({n: v for n, v in values.items() if n in counted}),
        outputs={name: digest({name: value}) for name, value in values.items()},
        first=moved,
        **distances(cell, against, values),
    )


def first_difference(cell: Cell, before: Values, after: Values) -> Difference | None:
    """Return the earliest element, by step and then by output, whose bits count and differ."""
    specs, counted = cell.lab.outputs, with_bits(cell)
    differences = (
        difference(spec, before.get(name), after.get(name))
        for name, spec in specs.items()
        if name in counted
    )
    return min((one for one in differences if one), key=_when, default=None)


def kept(cell: Cell, values: Values) -> dict[str, Value]:
    """The outputs that are no measurement."""
    specs = cell.lab.outputs
    return {
        name: value
        for name, value in values.items()
        if name in specs and specs[name].compare is not Comparison.MEASURED
    }


def with_bits(cell: Cell) -> set[str]:
    """Names of the outputs whose bits the lab expects to come again."""
    specs = cell.lab.outputs.items()
    return {n for n, spec in specs if spec.bits and spec.compare is not Comparison.MEASURED}


def by_nature(cell: Cell) -> tuple[str, ...]:
    """Names of the outputs whose bits, the lab says, differ by nature."""
    specs = cell.lab.outputs.items()
    return tuple(
        n for n, spec in specs if not spec.bits and spec.compare is not Comparison.MEASURED
    )


def difference(spec: OutputSpec, before: Value | None, after: Value | None) -> Difference | None:
    """Return the first element with other bits, or None where there is none."""
    if before is None or after is None:
        return None
    old, new = canonical(before), canonical(after)
    if isinstance(old, str) or isinstance(new, str):
        return _text_difference(spec, str(old), str(new))
    if old.dtype != new.dtype or old.shape != new.shape:
        return _difference(spec, f"{old.dtype}{list(old.shape)}", f"{new.dtype}{list(new.shape)}")
    differs = _bits(old) != _bits(new)
    count = int(np.count_nonzero(differs))
    if not count:
        return None
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(differs)), differs.shape))
    return replace(
        _difference(spec, _shown(old[index]), _shown(new[index])),
        index=index,
        step=index[0] if spec.steps and index else None,
        ulp=_ulp(old, new, index),
        relative=_relative(old[index], new[index]),
        differing=count,
        total=int(differs.size),
    )


def _difference(spec: OutputSpec, before: str, after: str) -> Difference:
    return Difference(
        output=spec.name, index=(), step=None, baseline=before[:80], got=after[:80], ulp=None,
        relative=None, differing=1, total=1,
    )  # fmt: skip


def _text_difference(spec: OutputSpec, old: str, new: str) -> Difference | None:
    if old == new:
        return None
    pairs = enumerate(zip(old, new, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))
    around = slice(max(0, at - 15), at + 25)
    return replace(_difference(spec, repr(old[around]), repr(new[around])), index=(at,))


def _shown(element: np.generic) -> str:
    return str(element)


def _bits(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f":
        return array
    plain = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    return plain.reshape(array.shape)


def _ulp(old: np.ndarray, new: np.ndarray, index: tuple[int, ...]) -> int | None:
    if old.dtype.kind != "f" or not (np.isfinite(old[index]) and np.isfinite(new[index])):
        return None
    return int(ulp_distance(old[index].reshape(1), new[index].reshape(1))[0])


def _relative(old: np.generic, new: np.generic) -> float | None:
    if not np.issubdtype(old.dtype, np.number):
        return None
    with np.errstate(all="ignore"):
        distance = abs(float(new) - float(old)) / abs(float(old)) if old else float("inf")
    return distance if np.isfinite(distance) else None


def distances(cell: Cell, before: Values, after: Values) -> dict[str, Any]:
    """``max_ulp``, and ``max_relative`` to the baseline's largest element, of what differs."""
    ulps: dict[str, int] = {}
    relatives: dict[str, float] = {}
    for name in cell.lab.outputs:
        a, b = (_array(values.get(name)) for values in (before, after))
        if a is None or b is None or a.dtype != b.dtype or a.shape != b.shape:
            continue
        finite = np.isfinite(a) & np.isfinite(b)
        a, b = a[finite], b[finite]
        if np.array_equal(_bits(a), _bits(b)):
            continue
        ulps[name] = int(ulp_distance(a, b).max())
        scale = float(np.abs(a.astype(np.float64)).max())
        if scale:
            relatives[name] = float(np.abs(b.astype(np.float64) - a).max()) / scale
    return {"max_ulp": ulps, "max_relative": relatives}


def _array(value: Value | None) -> np.ndarray | None:
    """The value as an array of floats, None if it is none."""
    array = None if value is None else canonical(value)
    return array if isinstance(array, np.ndarray) and array.dtype.kind == "f" else None


def _outcome(verdict: Verdict, moved: bool) -> Outcome:
    if not moved and verdict.green:
        return Outcome.IDENTICAL
    if verdict.green:
        return Outcome.CLOSE
    return Outcome.DIVERGED if moved or verdict is Verdict.DIVERGED else Outcome.FAILED


def _when(first: Difference) -> tuple[bool, int]:
    return first.step is None, first.step or 0


def _nobody(cell: Cell) -> CellResult:
    """Of no profile: no recorded digest is meant, so that it is nothing to judge on which CPU."""
    return CellResult(
        cell=cell.id, lab=cell.lab.slug, implementation=cell.implementation,
        environment=cell.environment.name, device=cell.device, profile="",
        verdict=Verdict.UNSUPPORTED,
    )  # fmt: skip
