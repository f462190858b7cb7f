"""The framework-free part of a lab, run on the host: inputs, oracle and expected values."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from paritylab.compare import contract_fault
from paritylab.digest import canonical, digest
from paritylab.errors import CatalogError, nearest
from paritylab.model import IMPLEMENTATIONS, Comparison, Lab, OutputSpec, Value
from paritylab.schema import RecordedDigest

# What a lab's own code may raise, sys.exit() among it.
FAULTS = (Exception, SystemExit)
Values = dict[str, Value]
_computing = threading.RLock()


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


@contextmanager
def loaded_scenario(
    lab: Lab,
) -> Iterator[tuple[Callable[[int], Values], Callable[[Values], dict[str, Any]]]]:
    """Import ``scenario.py`` for as long as its ``inputs`` and ``oracle`` are needed.

    BLAS has one thread: its sums do not depend on the number of processors, and its threads do not
    wait, spinning, for those that cells compute on. One scenario of a process computes at a time.
    """
    name = f"paritylab_scenario_{lab.slug.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, lab.scenario)
    if spec is None or spec.loader is None:  # pragma: no cover - the catalog has read the file
        raise CatalogError("cannot be imported", where=shown(lab, "scenario.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # The limit is the whole process's: of two at a time the first would end the second's.
        with _computing, _libraries().limit(limits=1, user_api="blas"):
            try:
                spec.loader.exec_module(module)
            except FAULTS as fault:
                raise _scenario_error(lab, "import failed", fault) from fault
            yield module.inputs, module.oracle
    finally:
        sys.modules.pop(name, None)  # a matrix may have a thousand of them


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # finds them all, which takes milliseconds


def compared(lab: Lab) -> dict[str, OutputSpec]:
    """The outputs that have an expected value: all but the measured ones."""
    outputs = lab.outputs.items()
    return {name: spec for name, spec in outputs if spec.compare is not Comparison.MEASURED}


def solve(lab: Lab, seed: int) -> Problem:
    """Compute inputs and oracle for ``seed`` alone; expected.json is not read."""
    inputs = pose(lab, seed)
    before = digest(inputs)
    return Problem(
        inputs=inputs, inputs_digest=before, expected=answer(lab, inputs), stale={}, digests=()
    )


def pose(lab: Lab, seed: int) -> Values:
    """Return what is shipped for ``seed``; the oracle is not asked. Raises CatalogError."""
    with loaded_scenario(lab) as (inputs_of, _):
        try:
            inputs = dict(inputs_of(seed))
            digest(inputs)  # for what it raises
        except FAULTS as fault:
            raise _scenario_error(lab, f"inputs({seed}) failed", fault) from fault
    return inputs


def answer(lab: Lab, inputs: Values) -> dict[str, dict[str, Value]]:
    """Return the oracle's answers, implementation -> output -> value; raises CatalogError."""
    before = digest(inputs)
    with loaded_scenario(lab) as (_, oracle):
        try:
            answers = oracle(inputs)
        except FAULTS as fault:
            raise _scenario_error(lab, "oracle(inputs) failed", fault) from fault
    if digest(inputs) != before:
        raise CatalogError("oracle(inputs) changed its inputs", where=shown(lab, "scenario.py"))
    return {name: _answers(lab, answers, name) for name in IMPLEMENTATIONS}


def shown(lab: Lab, file: str) -> str:
    """A file of a lab as messages name it."""
    return f"labs/{lab.slug}/{file}"


def _scenario_error(lab: Lab, what: str, fault: BaseException) -> CatalogError:
    trace = fault.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    at = f":{trace.tb_lineno}" if trace else ""
    return CatalogError(
        what, where=shown(lab, "scenario.py") + at, why=f"{type(fault).__name__}: {fault}"
    )


def _answers(lab: Lab, answers: object, implementation: str) -> dict[str, Value]:
    """Check the oracle's answers against lab.toml and pick this implementation's."""
    where = shown(lab, "scenario.py") + ": oracle"
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
    try:
        answer = canonical(value)
        declared = answer if isinstance(answer, str) else answer.astype(spec.dtype)
    except (TypeError, ValueError, OverflowError) as fault:
        raise CatalogError(
            f"`{spec.name}` is no {spec.dtype}", where=where, why=str(fault)
        ) from None
    # The oracle works in float64 or exact integers: the declared dtype only has to hold them.
    fault_text = contract_fault(spec.name, declared, spec)
    if fault_text is None and not isinstance(answer, str):
        fault_text = _number_fault(answer, spec)
    if fault_text:
        raise CatalogError(fault_text, where=where)
    return answer


def _number_fault(answer: np.ndarray, spec: OutputSpec) -> str | None:
    kind = np.dtype(spec.dtype).kind if spec.dtype != "str" else "U"
    if answer.dtype.kind == "f" and not np.isfinite(answer).all():
        return f"outputs.{spec.name}: the oracle's value is not finite"
    if kind == "f" and spec.compare is Comparison.CLOSE and answer.dtype != np.float64:
        return f"outputs.{spec.name}: the oracle answers in {answer.dtype}, not float64"
    if kind in "iub" and (
        answer.dtype.kind not in "iub" or not np.array_equal(answer, answer.astype(spec.dtype))
    ):
        return f"outputs.{spec.name}: the oracle's {answer.dtype} does not fit {spec.dtype}"
    return None
