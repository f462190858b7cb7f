"""expected.json: the oracle's values and the digests that were recorded with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from paritylab.errors import CatalogError
from paritylab.model import IMPLEMENTATIONS, Lab, OutputSpec, Value
from paritylab.scenarios import Problem, compared, shown
from paritylab.schema import ExpectedModel, RecordedOutput, validate

# The oracle is recomputed with whatever NumPy the host has: exp and dot differ in last bits.
ORACLE_RTOL = 1e-10


def recorded(lab: Lab, solved: Problem) -> Problem:
    """Return ``solved`` with the values and digests of expected.json in the oracle's place.

    Raises CatalogError when expected.json is missing, malformed or of other inputs.
    """
    model = read_expected(lab)
    place = shown(lab, "expected.json")
    accept = f"nox -s accept -- --lab {lab.slug}"
    if set(model.outputs) != set(compared(lab)):
        raise CatalogError(
            f"holds {', '.join(sorted(model.outputs))}",
            where=f"{place}: outputs",
            why=f"lab.toml declares {', '.join(sorted(compared(lab)))}",
            fix=accept,
        )
    if model.inputs != solved.inputs_digest or model.seed != lab.seed:
        raise CatalogError(
            "was recorded for other inputs",
            where=f"{place}: inputs",
            why=f"inputs({lab.seed}) now hash to {solved.inputs_digest}",
            fix=f"if scenario.py or its data changed on purpose: {accept}",
        )
    expected = {name: _recorded_values(lab, model, name) for name in IMPLEMENTATIONS}
    stale = _stale(lab, expected, solved.expected)
    return replace(solved, expected=expected, stale=stale, digests=model.digests)


def read_expected(lab: Lab) -> ExpectedModel:
    """Parse and validate expected.json; raises CatalogError."""
    place = shown(lab, "expected.json")
    try:
        document = json.loads(lab.expected.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogError(
            "the file is missing", where=place, fix=f"nox -s accept -- --lab {lab.slug}"
        ) from None
    except (ValueError, RecursionError) as fault:
        raise CatalogError(
            "not valid JSON", where=place, why=str(fault), fix=f"git checkout -- {place}"
        ) from None
    return validate(document, ExpectedModel, shown=place)


def _recorded_values(lab: Lab, model: ExpectedModel, implementation: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name, spec in compared(lab).items():
        where = f"{shown(lab, 'expected.json')}: outputs.{name}"
        record = model.outputs[name]
        if isinstance(record, dict):
            if implementation not in record:
                raise CatalogError(f"no value for {implementation}", where=where)
            record = record[implementation]
        if record.dtype != spec.dtype or record.shape != spec.shape:
            raise CatalogError(
                f"is {record.dtype}{list(record.shape)}",
                where=where,
                why=f"lab.toml declares {spec.dtype}{list(spec.shape)}",
                fix=f"nox -s accept -- --lab {lab.slug}",
            )
        values[name] = _decode(record, spec, where)
    return values


def _decode(record: RecordedOutput, spec: OutputSpec, where: str) -> Value:
    if len(record.values) != int(np.prod(spec.shape, dtype=np.int64)):
        raise CatalogError(f"{len(record.values)} values for shape {list(spec.shape)}", where=where)
    if spec.dtype == "str":
        return str(record.values[0])
    wide = {"f": "float64", "b": "bool"}.get(np.dtype(spec.dtype).kind, "int64")
    try:
        values = np.array(record.values, dtype=wide).reshape(spec.shape)
        if wide != "float64" and any(
            v != w for v, w in zip(record.values, values.flat, strict=True)
        ):
            raise ValueError(f"{spec.dtype} holds whole numbers")
        return values
    except (ValueError, OverflowError) as fault:
        raise CatalogError("a value is no number", where=where, why=str(fault)) from None


def _stale(
    lab: Lab,
    expected: Mapping[str, Mapping[str, Value]],
    oracle: Mapping[str, Mapping[str, Value]],
) -> dict[str, str]:
    """Say for each implementation where expected.json is not what the oracle gives."""
    sentences: dict[str, str] = {}
    for implementation, values in expected.items():
        for name in values:
            fault = _first_stale(values[name], oracle[implementation][name])
            if fault:
                sentences[implementation] = (
                    f"{shown(lab, 'expected.json')}: outputs.{name}{fault}; restore the file "
                    f"(git checkout), or run `nox -s accept -- --lab {lab.slug}` if the scenario "
                    "changed on purpose"
                )
                break
    return sentences


def _first_stale(recorded_value: Value, answer: Value) -> str | None:
    if isinstance(recorded_value, str) or isinstance(answer, str):
        if recorded_value == answer:
            return None
        return f" records {recorded_value!r}, the oracle gives {answer!r}"
    have, want = np.asarray(recorded_value), np.asarray(answer)
    # Sums over a whole array leave absolute errors of its largest element's size.
    scale = float(np.max(np.abs(want), initial=0.0)) if want.dtype.kind == "f" else 0.0
    near = np.isclose(have, want, rtol=ORACLE_RTOL, atol=scale * 1e-13)
    if near.all():
        return None
    index = tuple(int(i) for i in np.unravel_index(int(np.argmin(near)), near.shape))
    at = f"{list(index)}" if index else ""
    return f"{at} records {have[index].item()!r}, the oracle gives {want[index].item()!r}"
