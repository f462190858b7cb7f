"""The framework-free part of a lab, run on the host: inputs, oracle and expected values."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from paritylab.compare import contract_fault
from paritylab.digest import canonical, digest
from paritylab.errors import CatalogError, nearest
from paritylab.model import IMPLEMENTATIONS, Comparison, Lab, OutputSpec, Value
from paritylab.schema import Strict, validate

# The oracle is recomputed with whatever NumPy the host has: exp and dot differ in last bits.
ORACLE_RTOL = 1e-10
Values = dict[str, Value]


class RecordedDigest(Strict):
    """Digest of one cell's outputs, and everything that its bits depend on."""

    implementation: Literal["pytorch", "tf1", "tf2"]
    environment: str
    device: Literal["cpu", "cuda"]
    profile: Literal["portable", "native"]
    lock: str
    hardware: str | None = None
    digest: str


class RecordedOutput(Strict):
    """Oracle values of one output: flat, in C order."""

    dtype: str
    shape: tuple[int, ...]
    values: tuple[float | int | str, ...]


class ExpectedModel(Strict):
    """A whole expected.json."""

    schema_version: Literal[1]
    lab: str
    seed: int
    inputs: str
    outputs: dict[str, RecordedOutput | dict[str, RecordedOutput]]
    digests: tuple[RecordedDigest, ...]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A lab for one seed: what is shipped, and what every implementation must answer.

    ``expected`` maps implementation -> output -> value. ``stale`` says, per implementation, where
    expected.json and the oracle disagree (a mapping to a sentence); ``digests`` are the recorded
    ones, empty for any other seed than the lab's own.
    """

    inputs: Mapping[str, Value]
    inputs_digest: str
    expected: Mapping[str, Mapping[str, Value]]
    stale: Mapping[str, str]
    digests: tuple[RecordedDigest, ...]


def load_scenario(lab: Lab) -> tuple[Callable[[int], Values], Callable[[Values], dict[str, Any]]]:
    """Import ``scenario.py`` and return its ``inputs`` and ``oracle``."""
    name = f"paritylab_scenario_{lab.slug.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, lab.scenario)
    if spec is None or spec.loader is None:  # pragma: no cover - the catalog has read the file
        raise CatalogError("cannot be imported", where=_shown(lab, "scenario.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as fault:
        raise _scenario_error(lab, "import failed", fault) from fault
    return module.inputs, module.oracle


def compared(lab: Lab) -> dict[str, OutputSpec]:
    """The outputs that have an expected value: all but the measured ones."""
    outputs = lab.outputs.items()
    return {name: spec for name, spec in outputs if spec.compare is not Comparison.MEASURED}


def solve(lab: Lab, seed: int) -> Problem:
    """Compute inputs and oracle for ``seed`` alone; expected.json is not read."""
    inputs_of, oracle = load_scenario(lab)
    try:
        inputs = dict(inputs_of(seed))
    except Exception as fault:
        raise _scenario_error(lab, f"inputs({seed}) failed", fault) from fault
    before = digest(inputs)
    try:
        answers = oracle(inputs)
    except Exception as fault:
        raise _scenario_error(lab, "oracle(inputs) failed", fault) from fault
    if digest(inputs) != before:
        raise CatalogError("oracle(inputs) changed its inputs", where=_shown(lab, "scenario.py"))
    return Problem(
        inputs=inputs,
        inputs_digest=before,
        expected={name: _answers(lab, answers, name) for name in IMPLEMENTATIONS},
        stale={},
        digests=(),
    )


def recorded(lab: Lab, solved: Problem) -> Problem:
    """Return ``solved`` with the values and digests of expected.json in the oracle's place.

    Raises CatalogError when expected.json is missing, malformed or of other inputs.
    """
    model = read_expected(lab)
    shown = _shown(lab, "expected.json")
    accept = f"nox -s accept -- --lab {lab.slug}"
    if set(model.outputs) != set(compared(lab)):
        raise CatalogError(
            f"holds {', '.join(sorted(model.outputs))}",
            where=f"{shown}: outputs",
            why=f"lab.toml declares {', '.join(sorted(compared(lab)))}",
            fix=accept,
        )
    if model.inputs != solved.inputs_digest or model.seed != lab.seed:
        raise CatalogError(
            "was recorded for other inputs",
            where=f"{shown}: inputs",
            why=f"inputs({lab.seed}) now hash to {solved.inputs_digest}",
            fix=f"if scenario.py or its data changed on purpose: {accept}",
        )
    expected = {name: _recorded_values(lab, model, name) for name in IMPLEMENTATIONS}
    return Problem(
        inputs=solved.inputs,
        inputs_digest=solved.inputs_digest,
        expected=expected,
        stale=_stale(lab, expected, solved.expected),
        digests=model.digests,
    )


def read_expected(lab: Lab) -> ExpectedModel:
    """Parse and validate expected.json; raises CatalogError."""
    shown = _shown(lab, "expected.json")
    try:
        document = json.loads(lab.expected.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogError(
            "the file is missing", where=shown, fix=f"nox -s accept -- --lab {lab.slug}"
        ) from None
    except (ValueError, RecursionError) as fault:
        raise CatalogError(
            "not valid JSON", where=shown, why=str(fault), fix=f"git checkout -- {shown}"
        ) from None
    return validate(document, ExpectedModel, shown=shown)


def _shown(lab: Lab, file: str) -> str:
    return f"labs/{lab.slug}/{file}"


def _scenario_error(lab: Lab, what: str, fault: Exception) -> CatalogError:
    trace = fault.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    at = f":{trace.tb_lineno}" if trace else ""
    return CatalogError(
        what, where=_shown(lab, "scenario.py") + at, why=f"{type(fault).__name__}: {fault}"
    )


def _answers(lab: Lab, answers: object, implementation: str) -> dict[str, Value]:
    """Check the oracle's answers against lab.toml and pick this implementation's."""
    where = _shown(lab, "scenario.py") + ": oracle"
    if not isinstance(answers, dict):
        raise CatalogError(f"returned {type(answers).__name__}, not a dict", where=where)
    for name in answers:
        if name not in compared(lab):
            raise CatalogError(
                f"returned undeclared `{name}`", where=where, why=nearest(str(name), compared(lab))
            )
    chosen: dict[str, Value] = {}
    for name, spec in compared(lab).items():
        if name not in answers:
            raise CatalogError(f"did not return `{name}`", where=where, why="lab.toml declares it")
        value = answers[name]
        if spec.per_implementation:
            if not isinstance(value, dict) or set(value) != set(IMPLEMENTATIONS):
                raise CatalogError(
                    f"`{name}` must be a dict with keys {', '.join(IMPLEMENTATIONS)}",
                    where=where,
                    why="lab.toml says per_implementation = true",
                )
            value = value[implementation]
        chosen[name] = _checked_answer(value, spec, where)
    return chosen


def _checked_answer(value: Any, spec: OutputSpec, where: str) -> Value:
    answer = canonical(value)
    if spec.dtype == "str" or isinstance(answer, str):
        fault = contract_fault(spec.name, answer, spec)
    else:
        # The oracle works in float64 (or exact integers): only kind and shape must fit.
        fault = contract_fault(spec.name, answer.astype(spec.dtype), spec)
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            fault = f"outputs.{spec.name}: the oracle's value is not finite"
        if spec.compare is Comparison.CLOSE and answer.dtype != np.float64:
            fault = f"outputs.{spec.name}: the oracle answers in {answer.dtype}, not float64"
    if fault:
        raise CatalogError(fault, where=where)
    return answer


def _recorded_values(lab: Lab, model: ExpectedModel, implementation: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name, spec in compared(lab).items():
        where = f"{_shown(lab, 'expected.json')}: outputs.{name}"
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
        return np.array(record.values, dtype=wide).reshape(spec.shape)
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
                    f"{_shown(lab, 'expected.json')}: outputs.{name}{fault}; restore the file "
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
