"""Answers -> marks -> checks -> a grade; pure. Nothing a submission prints is read here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from paritylab.compare import compare
from paritylab.digest import canonical
from paritylab.grade.model import Check, Curve
from paritylab.grade.trial import Mark, Trial
from paritylab.judge import describe
from paritylab.model import Comparison, Divergence, Lab, OutputSpec, Value
from paritylab.wire import JobResult

UNGRADED = "not graded"
"""Verdict of a check whose trials could not be run: the engine's trouble, or not their turn yet."""
LONGEST_CURVE = 20_000
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_PLACE = re.compile(r'^ *File "((?:pytorch|tf1|tf2)\.py)", line ([0-9]{1,6})\b', re.MULTILINE)
_SENTENCES = {
    "timeout": "it ran past the time limit",
    "killed": "it was killed",
    "protocol": "its answer was broken or too large",
    "error": "it ended without an answer",
}


def graded(lab: Lab) -> dict[str, OutputSpec]:
    """The outputs that points are given for."""
    return {name: spec for name, spec in lab.outputs.items() if spec.points > 0}


def mark(answer: JobResult, expected: Mapping[str, Value], lab: Lab) -> tuple[Mark, ...]:
    """Mark every graded output of one answer; the others cost and earn nothing."""
    if answer.status != "ok":
        return failed(lab, answer.status, words=_not_ok(answer), hidden=_told(answer))
    return tuple(_output(answer, expected, spec) for spec in graded(lab).values())


def failed(lab: Lab, verdict: str, *, words: str, hidden: str = "") -> tuple[Mark, ...]:
    """No point for any output, for one reason."""
    return tuple(
        Mark(output=name, share=0.0, verdict=verdict, words=words, hidden=hidden)
        for name in graded(lab)
    )


def _not_ok(answer: JobResult) -> str:
    """What happened, without the exception's message: that may hold what the inputs were."""
    if answer.error_type:
        kind = answer.error_type if _IDENTIFIER.fullmatch(answer.error_type) else "an exception"
        places = _PLACE.findall(answer.traceback)
        return f"{kind} ({places[-1][0]}, line {places[-1][1]})" if places else kind
    sentence = _SENTENCES.get(answer.status, answer.status)
    return f"{sentence}: {answer.cause}" if answer.status in ("killed", "error") else sentence


def _told(answer: JobResult) -> str:
    parts = [answer.cause, f"{answer.error_type}: {answer.message}" if answer.error_type else ""]
    return "\n".join(part for part in [*parts, answer.traceback] if part)[:4000]


def _output(answer: JobResult, expected: Mapping[str, Value], spec: OutputSpec) -> Mark:
    if spec.name not in answer.values:
        words = f"`{spec.name}` is missing from what the function returned"
        return Mark(output=spec.name, share=0.0, verdict="missing", words=words)
    value = answer.values[spec.name]
    report = compare({spec.name: value}, expected, {spec.name: spec})
    if report.faults:
        words = "; ".join(report.faults)
        return Mark(output=spec.name, share=0.0, verdict="wrong form", words=words)
    curve = _curve(canonical(value), expected.get(spec.name), spec)
    if not report.divergences:
        return Mark(output=spec.name, share=1.0, verdict="passed", curve=curve)
    divergence = report.divergences[0]
    share = _share(divergence, spec)
    finite = np.asarray(canonical(value)).dtype.kind != "f" or np.isfinite(value).all()
    return Mark(
        output=spec.name,
        share=share,
        verdict="partial" if share else "diverged" if finite else "not finite",
        words=_parted(divergence, spec, finite=bool(finite)),
        hidden=describe(divergence),
        divergence=divergence,
        curve=curve,
    )


def _share(divergence: Divergence, spec: OutputSpec) -> float:
    """The part of a curve before its first divergence, where the rubric gives credit for it."""
    if not spec.partial or divergence.step is None:
        return 0.0
    return divergence.step / spec.shape[0]


def _parted(divergence: Divergence, spec: OutputSpec, *, finite: bool) -> str:
    """Where it parts, in words that give away neither of the two values."""
    holds = "" if finite else "it holds NaN or infinity; "
    if divergence.step is not None:
        steps = spec.shape[0]
        if divergence.step == 0:
            return f"{holds}wrong from the first of {steps} steps"
        return f"{holds}right for {divergence.step} of {steps} steps, then it parts"
    if divergence.total == 1:
        return f"{holds}the value is wrong"
    at = f"the first at {list(divergence.index)}"
    return f"{holds}{divergence.outside} of {divergence.total} elements are wrong, {at}"


def _curve(got: np.ndarray | str, want: Value | None, spec: OutputSpec) -> Curve | None:
    drawn = spec.steps and len(spec.shape) == 1 and spec.shape[0] <= LONGEST_CURVE
    if not drawn or isinstance(got, str) or want is None or spec.compare is Comparison.MEASURED:
        return None
    expected = tuple(np.asarray(want, dtype=np.float64).tolist())
    return Curve(expected=expected, got=tuple(got.astype(np.float64).tolist()))


# ---- checks ---------------------------------------------------------------------------------
def checks(implementation: str, trials: Sequence[Trial], wanted: int, lab: Lab) -> list[Check]:
    """The lines of the gradebook for one implementation: a mean over its trials.

    ``wanted`` is how many trials there should be (seeds times repeats); one that is missing earns
    nothing here, and makes its checks ``not graded``.
    """
    found = []
    for name, spec in graded(lab).items():
        marks = [next(m for m in trial.marks if m.output == name) for trial in trials]
        blank = Check(
            id=f"{implementation}: {name}", implementation=implementation, kind="output",
            output=name, points=spec.points, earned=0.0, verdict=UNGRADED,
            words="the grader could not run this; it costs you nothing yet",
        )  # fmt: skip
        found.append(_merged(blank, marks, trials) if len(marks) >= wanted else blank)
    return found


def _merged(blank: Check, marks: Sequence[Mark], trials: Sequence[Trial]) -> Check:
    worst = min(marks, key=lambda mark: mark.share)
    wrong = sum(mark.share < 1 for mark in marks)
    words = worst.words
    if words and wrong < len(marks):
        words += f" (on {wrong} of {len(marks)} hidden inputs)"
    return replace(
        blank,
        earned=round(blank.points * sum(mark.share for mark in marks) / len(marks), 6),
        verdict=worst.verdict,
        words=words,
        hidden=worst.hidden,
        divergence=worst.divergence,
        curve=worst.curve,
        moved=_moved(marks, trials),
    )


def _moved(marks: Sequence[Mark], trials: Sequence[Trial]) -> bool:
    """Whether a seed's share is not the same in all repeats."""
    by_seed: dict[int, set[float]] = {}
    for given, trial in zip(marks, trials, strict=True):
        by_seed.setdefault(trial.seed, set()).add(given.share)
    return any(len(shares) > 1 for shares in by_seed.values())


def zeroed(found: Iterable[Check], words: str, verdict: str) -> list[Check]:
    """The same checks without a point, for one reason."""
    return [replace(check, earned=0.0, verdict=verdict, words=words) for check in found]


def absent(implementation: str, lab: Lab, words: str) -> list[Check]:
    """The checks of an implementation that was not handed in, or cannot be read."""
    nothing = Trial(
        implementation=implementation, seed=0, repeat=0, source="", status="missing",
        marks=failed(lab, "missing", words=words),
    )  # fmt: skip
    return checks(implementation, [nothing], 1, lab)
