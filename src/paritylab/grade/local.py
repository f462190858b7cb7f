"""A student's own files on the student's own machine: the public checks on a local engine.

Strangers' submissions never come here: they are graded in sandboxes (``run``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paritylab.engines.base import Endpoint, Unavailable
from paritylab.errors import EngineError, LabError
from paritylab.fleet import LocalFleet
from paritylab.grade import score
from paritylab.grade.assignment import Assignment, Question
from paritylab.grade.constructs import checks as construct_checks
from paritylab.grade.constructs import inspect
from paritylab.grade.model import Check
from paritylab.grade.plan import PROFILE, Plan
from paritylab.grade.trial import Trial, source_digest
from paritylab.wire import Job, JobResult, Session


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the public checks found: gradebook lines, and what the programs printed at last."""

    checks: tuple[Check, ...]
    streams: Mapping[str, str]

    @property
    def points(self) -> float:
        """What could be earned."""
        return sum(check.points for check in self.checks)

    @property
    def earned(self) -> float:
        """What was earned."""
        return sum(check.earned for check in self.checks)


def check(
    assignment: Assignment,
    sources: Mapping[str, str],
    fleet: LocalFleet,
    done: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Run each source on every public seed and mark it; ``done`` is told each trial's name.

    ``fleet`` keeps its workers. Raises EngineError where an implementation cannot be run at all.
    """
    plan = Plan(
        lab=assignment.lab,
        environment=assignment.environment,
        implementations=tuple(sources),
        seeds=tuple(question.seed for question in assignment.questions),
    )
    found: list[Check] = []
    streams: dict[str, str] = {}
    fleet.prefetch(plan.worker_keys())
    for name, source in sources.items():
        endpoint = _opened(fleet.endpoint(plan.worker_key(name)))
        trials = []
        for question in assignment.questions:
            with Session(fleet.engine.connect(endpoint)) as session:
                answer = session.run(_job(assignment, name, source, question))
            trials.append(_trial(assignment, name, source, question, answer))
            streams[name] = (answer.traceback or answer.stderr or answer.stdout).strip()
            done(f"{name}, seed {question.seed}")
        found += _marked(plan, name, source, trials)
    return Checked(checks=tuple(found), streams=streams)


def _opened(endpoint: Endpoint | Unavailable | LabError) -> Endpoint:
    if isinstance(endpoint, LabError):
        raise endpoint
    if isinstance(endpoint, Unavailable):
        raise EngineError(endpoint.reason, fix=endpoint.fix)
    return endpoint


def _job(assignment: Assignment, name: str, source: str, question: Question) -> Job:
    return Job(
        id=name,
        file=f"{name}.py",
        source=source,
        stages=assignment.lab.stages,
        inputs=question.inputs,
        limits=assignment.lab.limits,
        seed=0,  # as when grading, the frameworks' own generators start from elsewhere
        profile=PROFILE,
    )


def _trial(
    assignment: Assignment, name: str, source: str, question: Question, answer: JobResult
) -> Trial:
    return Trial(
        implementation=name,
        seed=question.seed,
        repeat=0,
        source=source_digest(source),
        status=answer.status,
        marks=score.mark(answer, question.expected[name], assignment.lab),
        seconds=answer.seconds,
    )


def _marked(plan: Plan, name: str, source: str, trials: list[Trial]) -> list[Check]:
    constructs = plan.constructs(name)
    inspection = inspect(source, constructs)
    about = construct_checks(name, inspection, constructs)
    outputs = score.checks(name, trials, len(trials), plan.lab)
    if inspection.forbidden:
        return score.zeroed([*outputs, *about], "; ".join(inspection.forbidden), "forbidden")
    return outputs + about
