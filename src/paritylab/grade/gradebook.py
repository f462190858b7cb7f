"""The journal's trials -> grades: whatever a run was interrupted by, they come from one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paritylab.grade import score
from paritylab.grade.constructs import checks as construct_checks
from paritylab.grade.constructs import inspect
from paritylab.grade.model import Check, Grade, Submission
from paritylab.grade.plan import Plan
from paritylab.grade.trial import Trial, source_digest, unit_of, unpacked
from paritylab.journal import Journal

SHOWN = 4000
"""Characters of a stream's end that a grade keeps for each implementation."""


def gradebook(
    submissions: Sequence[Submission],
    plan: Plan,
    journal: Journal,
    *,
    troubles: Mapping[str, str] | None = None,
) -> list[Grade]:
    """Return a grade for each submission from what the journal holds.

    What is not in it is ``not graded`` and earns nothing yet; ``troubles`` says why, unit by unit.
    """
    done = journal.done()
    return [_grade(one, plan, done, troubles or {}, str(journal.path)) for one in submissions]


def _grade(
    submission: Submission,
    plan: Plan,
    done: Mapping[str, Mapping[str, Any]],
    troubles: Mapping[str, str],
    where: str,
) -> Grade:
    found: list[Check] = []
    ran: list[Trial] = []
    for name in plan.implementations:
        trials = _trials(submission, name, plan, done, where)
        ran += trials
        found += _checks(submission, name, plan, trials)
    raw, points = sum(c.earned for c in found), sum(c.points for c in found)
    ours = troubles.keys() & set(_units(submission, plan))
    return Grade(
        submission=submission,
        lab=plan.lab.slug,
        title=plan.lab.title,
        score=round(raw * (1 - submission.penalty), 6),
        raw=round(raw, 6),
        points=points,
        checks=tuple(found),
        seeds=plan.seeds,
        seconds=round(sum(trial.wall for trial in ran), 3),
        peak_memory_mb=max((t.peak_memory_mb or 0.0 for t in ran), default=None),
        stdout=_stream(ran, "stdout"),
        stderr=_stream(ran, "stderr"),
        suspicious=tuple(dict.fromkeys(note for trial in ran for note in trial.suspicious)),
        unstable=tuple(check.id for check in found if check.moved),
        facts={"ungraded": sorted({troubles[unit] for unit in ours})},
    )


def _units(submission: Submission, plan: Plan) -> list[str]:
    return [
        unit_of(submission.student, name, seed, repeat)
        for name in plan.implementations
        for seed in plan.seeds
        for repeat in range(plan.repeats)
    ]


def _trials(
    submission: Submission,
    implementation: str,
    plan: Plan,
    done: Mapping[str, Mapping[str, Any]],
    where: str,
) -> list[Trial]:
    """What the journal holds of today's source."""
    source = source_digest(submission.sources.get(implementation, ""))
    units = (
        unit_of(submission.student, implementation, seed, repeat)
        for seed in plan.seeds
        for repeat in range(plan.repeats)
    )
    kept = [unpacked(done[unit], where=f"{where}: {unit}") for unit in units if unit in done]
    return [trial for trial in kept if trial.source == source]


def _checks(
    submission: Submission, implementation: str, plan: Plan, trials: Sequence[Trial]
) -> list[Check]:
    source = submission.sources.get(implementation)
    constructs = plan.constructs(implementation)
    if source is None:
        words = f"{implementation}.py was not handed in"
        if submission.faults:
            words += ", or could not be read: " + "; ".join(submission.faults)
        outputs = score.absent(implementation, plan.lab, words)
        missing = construct_checks(implementation, inspect("", constructs), constructs)
        return outputs + score.zeroed(missing, words, "missing")
    inspection = inspect(source, constructs)
    about = construct_checks(implementation, inspection, constructs)
    if inspection.forbidden:
        words = "no points: " + "; ".join(inspection.forbidden)
        outputs = score.zeroed(score.absent(implementation, plan.lab, words), words, "forbidden")
        named = [check for check in about if check.verdict == "forbidden"]
        others = [check for check in about if check.verdict != "forbidden"]
        return outputs + score.zeroed(others, words, "forbidden") + named
    wanted = len(plan.seeds) * plan.repeats
    return score.checks(implementation, trials, wanted, plan.lab) + about


def _stream(trials: Sequence[Trial], name: str) -> str:
    """The end of what each implementation wrote, of its first trial: evidence, never a channel."""
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(trial.implementation, trial)
    written = {key: str(getattr(trial, name))[-SHOWN:] for key, trial in first.items()}
    return "\n".join(f"== {key} ==\n{text}" for key, text in written.items() if text.strip())
