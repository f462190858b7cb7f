"""A class of students for tests: real comparisons of perturbed oracle answers, no made-up marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from conftest import PROJECT

from paritylab import catalog
from paritylab.grade import score
from paritylab.grade.model import Grade, Submission
from paritylab.grade.trial import Trial
from paritylab.model import Lab
from paritylab.scenarios import Problem, solve
from paritylab.wire import JobResult

SEED = 20_261_122


def lab(*, partial: bool = False) -> Lab:
    """The lab that the class works on; a point per output, so that its rubric may change."""
    found = catalog.load(PROJECT, labs=["train"]).labs["train"]
    outputs = {
        name: replace(spec, points=1.0, partial=partial and spec.steps)
        for name, spec in found.outputs.items()
    }
    return replace(found, outputs=outputs)


def problem(of: Lab) -> Problem:
    """Its inputs and expected values for a hidden seed."""
    return solve(of, SEED)


def right(of: Problem, implementation: str) -> dict[str, Any]:
    """What a right program returns: the oracle's values in float32."""
    return {n: np.asarray(v, np.float32) for n, v in of.expected[implementation].items()}


def leaves_at(values: Mapping[str, Any], step: int) -> dict[str, Any]:
    """A program whose loss leaves the right curve at ``step``, with weights that are wrong."""
    wrong = dict(values)
    wrong["loss"] = values["loss"].copy()
    wrong["loss"][step:] *= np.float32(1.37)
    wrong["w1"] = values["w1"] + np.float32(0.125)
    return wrong


def answer(values: Mapping[str, Any], **facts: Any) -> JobResult:
    """A worker's answer with these outputs."""
    blank = JobResult(status="ok", values=dict(values))
    return replace(blank, **facts)


def graded(
    student: str, answers: Mapping[str, JobResult], of: Lab, against: Problem, **facts: Any
) -> Grade:
    """The grade of one student from what each implementation answered, by the real comparison.

    ``facts`` go to the submission where it has such a field, else to the grade.
    """
    checks = []
    for name, given in answers.items():
        marks = score.mark(given, against.expected[name], of)
        trial = Trial(
            implementation=name, seed=SEED, repeat=0, source="", status=given.status, marks=marks
        )
        checks += score.checks(name, [trial], 1, of)
    known = Submission.__dataclass_fields__
    about = {name: facts.pop(name) for name in list(facts) if name in known}
    raw = sum(check.earned for check in checks)
    handed = Submission(**{"student": student, "name": student, "origin": student, **about})
    return Grade(
        submission=handed,
        lab=of.slug,
        title=of.title,
        raw=raw,
        score=raw * (1 - handed.penalty),
        points=sum(check.points for check in checks),
        checks=tuple(checks),
        seeds=(SEED,),
        **facts,
    )
