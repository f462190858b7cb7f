"""A worker's answer -> the cell's verdict; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from paritylab.compare import Report, compare
from paritylab.digest import digest
from paritylab.gpushares import START_SECONDS
from paritylab.hardware import cpu_class, cpu_kind
from paritylab.model import Cell, CellResult, Comparison, Divergence, Value, Verdict
from paritylab.scenarios import Problem
from paritylab.wire import JobResult

NO_GPU = "no GPU"
DigestKey = dict[str, str | None]
"""All of a recorded digest but itself."""


def judge(  # noqa: PLR0913 - what answered, what is right, and where it ran
    blank: CellResult,
    cell: Cell,
    answer: JobResult,
    *,
    problem: Problem,
    strict_bits: bool,
    cpu: str | None = None,
) -> CellResult:
    """Return ``blank`` completed with verdict, message and evidence.

    ``cpu`` is the class of the CPU that it ran on, if that was not this machine's.
    """
    seen = replace(
        blank, worker_seconds=answer.seconds, peak_memory_mb=answer.peak_memory_mb,
        stdout=answer.stdout, stderr=answer.stderr,
    )  # fmt: skip
    if answer.status != "ok":
        verdict, message = _not_ok(answer, cell, on_gpu=blank.hardware is not None)
        return replace(seen, verdict=verdict, message=message)
    report = compare(answer.values, problem.expected[cell.implementation], cell.lab.outputs)
    found = digest(_with_bits(cell, answer))
    key = digest_key(cell, blank.profile, blank.hardware, cpu=cpu)
    recorded = recorded_digest(problem, key)
    drift = recorded is not None and recorded != found
    seen = replace(
        seen,
        digest=found,
        recorded_digest=recorded,
        bit_drift=drift,
        divergences=report.divergences,
        measured=_measured(cell, answer),
        curves=_curves(cell, answer.values),
        expected_curves=_curves(cell, problem.expected[cell.implementation]),
        texts={n: value for n, value in answer.values.items() if isinstance(value, str)},
        tolerance_used=report.tolerance_used,
        max_error=report.max_error,
        max_ulp=report.max_ulp,
    )
    verdict, message = _held(report, problem.stale.get(cell.implementation))
    if verdict is Verdict.CLOSE:
        verdict, message = _bits(found, recorded, strict=strict_bits)
        message = message or (_only_elsewhere(problem, key) if recorded is None else "")
    return replace(seen, verdict=verdict, message=message)


def _bits(found: str, recorded: str | None, *, strict: bool) -> tuple[Verdict, str]:
    """The verdict on outputs that are within their tolerance, by their digest."""
    if recorded == found:
        return Verdict.IDENTICAL, ""
    if recorded is None:
        return Verdict.CLOSE, ""
    message = f"bit drift: digest {found[:12]}, recorded {recorded[:12]}"
    return Verdict.DIVERGED if strict else Verdict.CLOSE, message


def _measured(cell: Cell, answer: JobResult) -> dict[str, Any]:
    specs = cell.lab.outputs
    return {
        name: np.asarray(value).tolist()
        for name, value in answer.values.items()
        if name in specs and specs[name].compare is Comparison.MEASURED
    }


def _with_bits(cell: Cell, answer: JobResult) -> dict[str, Value]:
    """The outputs whose bits can be expected to come again."""
    specs = cell.lab.outputs
    return {
        name: value
        for name, value in answer.values.items()
        if name not in specs
        or (specs[name].bits and specs[name].compare is not Comparison.MEASURED)
    }


def _curves(cell: Cell, values: Mapping[str, Value]) -> dict[str, list[float]]:
    specs = {name for name, spec in cell.lab.outputs.items() if spec.steps}
    arrays = {n: v for n, v in values.items() if n in specs and isinstance(v, np.ndarray)}
    return {
        name: value.astype(np.float64).tolist()
        for name, value in arrays.items()
        if value.ndim == 1 and value.dtype.kind == "f"
    }


def _held(report: Report, stale: str | None) -> tuple[Verdict, str]:
    if stale:
        return Verdict.DIVERGED, stale
    if report.faults:
        return Verdict.FAILED, "; ".join(report.faults)
    if report.divergences:
        return Verdict.DIVERGED, describe(report.divergences[0])
    return Verdict.CLOSE, ""


def _not_ok(answer: JobResult, cell: Cell, *, on_gpu: bool) -> tuple[Verdict, str]:
    if answer.status == "timeout":
        seconds = cell.lab.limits.seconds
        where = f"labs/{cell.lab.slug}/lab.toml: limits.seconds"
        start = f" and {START_SECONDS:g} s for CUDA's start" if on_gpu else ""
        return Verdict.TIMEOUT, f"no answer within {seconds:g} s{start} ({where})"
    if answer.status == "killed":
        return Verdict.KILLED, answer.cause
    if answer.error_type:
        return Verdict.FAILED, f"{answer.error_type}: {answer.message}"
    return Verdict.FAILED, answer.cause or answer.message


def recorded_digest(problem: Problem, key: DigestKey) -> str | None:
    """The digest that expected.json holds for all that a cell's bits depend on, if any."""
    found = (e.digest for e in problem.digests if e.model_dump(exclude={"digest"}) == key)
    return next(found, None)


def _only_elsewhere(problem: Problem, key: DigestKey) -> str:
    """For which other hardware there are digests of the same cell; empty where there are none."""
    kinds = sorted(
        entry.hardware
        for entry in problem.digests
        if entry.hardware and entry.model_dump(exclude={"digest"}) | {"hardware": None}
        == key | {"hardware": None}
    )  # fmt: skip
    if not kinds or not key["hardware"]:
        return ""
    return f"no digest recorded for {key['hardware']}, only for {' and '.join(kinds)}"


def digest_key(
    cell: Cell, profile: str, gpu: str | None = None, *, cpu: str | None = None
) -> DigestKey:
    """Everything that the bits of a cell's outputs depend on, as expected.json names it.

    On ``cuda`` that is the class of the ``gpu`` (``Gpu.hardware``): another one gives `close`.
    ``cpu`` is the class of the CPU where it ran; default: this machine's.
    """
    hardware = cpu_kind(cpu or cpu_class(), cell.cpu_bits)
    if cell.device == "cuda":
        hardware = gpu or NO_GPU
    return {
        "implementation": cell.implementation,
        "environment": cell.environment.name,
        "device": cell.device,
        "profile": profile,
        "lock": cell.environment.stacks[cell.device].lock_digest,
        "hardware": hardware,
    }


def describe(first: Divergence) -> str:
    """One sentence: output, index, expected, got, distance, and how much else is outside."""
    at = f"[{','.join(map(str, first.index))}]" if first.index else ""
    step = f" (first at step {first.step})" if first.step is not None else ""
    distance = []
    if first.ulp is not None:
        distance.append(f"{first.ulp} ULP")
    if first.relative is not None:
        distance.append(f"relative {first.relative:.2e}")
    return (
        f"{first.output}{at}{step}: expected {first.expected}, got {first.got}"
        + (f" ({', '.join(distance)})" if distance else "")
        + f", allowed {first.allowed:.2e}; {first.outside} of {first.total} outside"
    )
