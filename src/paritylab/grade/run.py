"""Submissions -> trials in sandboxes -> grades, every finished trial durable before the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from paritylab.errands import Desk, Errand, Report
from paritylab.errors import EngineError, LabError
from paritylab.grade import score, seeds
from paritylab.grade.asking import Reply, replies
from paritylab.grade.constructs import inspect
from paritylab.grade.gradebook import gradebook
from paritylab.grade.lanes import Lanes
from paritylab.grade.model import Grade, Submission
from paritylab.grade.plan import PROFILE, Plan
from paritylab.grade.questions import Questions
from paritylab.grade.trial import Trial, packed, source_digest, unit_of
from paritylab.journal import Journal
from paritylab.wire import Job, JobResult


@dataclass(frozen=True, kw_only=True)
class Question:
    """One trial that is to be done: its name in the journal and what it consists of."""

    unit: str
    student: str
    implementation: str
    seed: int
    repeat: int
    source: str


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Whom to tell: ``planned`` once with the number of trials to do, ``done`` after each."""

    planned: Callable[[int], None] = field(default=lambda _: None)
    done: Callable[[Question, Trial | LabError], None] = field(default=lambda *_: None)


def questions(submission: Submission, plan: Plan) -> Iterator[Question]:
    """The trials of a submission that are worth running, in order."""
    for name in plan.implementations:
        source = submission.sources.get(name)
        if source is None or inspect(source, plan.constructs(name)).forbidden:
            continue  # it earns nothing, whatever it answers
        for seed, repeat in product(plan.seeds, range(plan.repeats)):
            yield Question(
                unit=unit_of(submission.student, name, seed, repeat),
                student=submission.student,
                implementation=name,
                seed=seed,
                repeat=repeat,
                source=source,
            )


def grade(
    submissions: Sequence[Submission],
    plan: Plan,
    journal: Journal,
    lanes: Callable[[int], Lanes],
    watch: Watch | None = None,
) -> list[Grade]:
    """Grade what the journal does not hold yet; return the grades of all ``submissions``.

    ``lanes`` opens a supply for so many submissions. What the engine could not run is in no
    journal and marked in its grade. Ctrl-C ends every sandbox and propagates; what had finished
    by then is in the journal.
    """
    grader = _Grader(plan, journal, watch or Watch())
    grader.run(submissions, lanes)
    return gradebook(submissions, plan, journal, troubles=grader.troubles)


def grade_at(
    submissions: Sequence[Submission],
    plan: Plan,
    journal: Journal,
    desk: Desk,
    watch: Watch | None = None,
) -> list[Grade]:
    """The same on the hosts of a cluster; marks are given here, and the journal is here."""
    grader = _Grader(plan, journal, watch or Watch())
    grader.run_at(submissions, desk)
    return gradebook(submissions, plan, journal, troubles=grader.troubles)


class _Grader:
    def __init__(self, plan: Plan, journal: Journal, watch: Watch) -> None:
        self.plan, self.journal, self.watch = plan, journal, watch
        self.asked = Questions(plan.lab)
        self.troubles: dict[str, str] = {}
        self._stopping = threading.Event()

    def run(self, submissions: Sequence[Submission], lanes: Callable[[int], Lanes]) -> None:
        todo = self._todo(submissions)
        if not todo:
            return
        with lanes(len(todo)) as supply, ThreadPoolExecutor(self.plan.jobs) as pool:
            try:
                list(pool.map(lambda found: self._submission(found, supply), todo))
            except BaseException:
                self._stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                supply.close()  # what runs fails at once, so that the threads end
                raise

    def _todo(self, submissions: Sequence[Submission]) -> list[list[Question]]:
        """What is to be run, by submission; a scenario at fault is told before anything is."""
        done = self.journal.done()
        todo = [found for one in submissions if (found := self._undone(one, done))]
        self.watch.planned(sum(len(found) for found in todo))
        for seed in self.plan.seeds if todo else ():
            self.asked.inputs(seed)
        return todo

    def _undone(
        self, submission: Submission, done: Mapping[str, Mapping[str, Any]]
    ) -> list[Question]:
        """What is to be run; a unit of another source than today's counts for nothing."""
        return [
            question
            for question in questions(submission, self.plan)
            if done.get(question.unit, {}).get("source") != source_digest(question.source)
        ]

    def run_at(self, submissions: Sequence[Submission], desk: Desk) -> None:
        """The same on a desk's hosts: each submission in a sandbox on one of them."""
        asked: dict[str, tuple[int, Question]] = {}
        waiting: dict[int, int] = {}
        ended: dict[int, list[tuple[Question, Trial]]] = {}

        def batches() -> Iterator[list[Errand]]:
            for number, found in enumerate(self._todo(submissions)):
                waiting[number], ended[number] = len(found), []
                # No more than numbers: student and seed are no business of a host.
                names = [f"{number}-{place}" for place, _ in enumerate(found)]
                asked.update(zip(names, ((number, question) for question in found), strict=True))
                yield [
                    Errand(id=name, key=self.plan.worker_key(q.implementation), job=self._job(q))
                    for name, q in zip(names, found, strict=True)
                ]

        try:
            for report in desk.reports(batches()):
                number, question = asked.pop(report.id)
                trial = self._reported(question, report)
                if trial:
                    ended[number].append((question, trial))
                waiting[number] -= 1
                if not waiting[number]:  # one wait for the disk for each submission
                    self._record(ended.pop(number))
        finally:  # Ctrl-C, or a cluster that is lost: what has ended by then has ended
            for trials in ended.values():
                self._record(trials)

    def _reported(self, question: Question, report: Report) -> Trial | None:
        answer = report.answer
        if isinstance(answer, JobResult):
            reply = Reply(answer=answer, wall=report.seconds, trouble=report.trouble)
            return self._trial(question, reply)
        fault = answer if isinstance(answer, LabError) else EngineError(answer.reason)
        self.troubles[question.unit] = str(fault)
        self.watch.done(question, fault)
        return None

    def _record(self, trials: Sequence[tuple[Question, Trial]]) -> None:
        """Make trials durable, then tell of them."""
        self.journal.record_all({question.unit: packed(trial) for question, trial in trials})
        for question, trial in trials:
            self.watch.done(question, trial)

    def _submission(self, todo: Sequence[Question], lanes: Lanes) -> None:
        """Run one submission's trials in a lane of its own."""
        left = list(todo)
        jobs = ((self.plan.worker_key(q.implementation), self._job(q)) for q in todo)
        try:
            with closing(replies(jobs, lanes, self._stopping.is_set)) as answers:
                for reply in answers:
                    self._record([(left[0], self._trial(left[0], reply))])
                    left.pop(0)
        except EngineError as fault:
            if self._stopping.is_set():
                return
            for question in left:  # not the student's fault: no zero, and --resume tries again
                self.troubles[question.unit] = str(fault)
                self.watch.done(question, fault)

    def _trial(self, question: Question, reply: Reply) -> Trial:
        trial = self._marked(question, reply.answer, wall=reply.wall)
        if not reply.trouble:
            return trial
        note = f"{question.implementation}: its worker gave no answer: {reply.trouble}"
        return replace(trial, suspicious=(*trial.suspicious, note))

    def _job(self, question: Question) -> Job:
        return Job(
            id=question.implementation,  # neither the student nor the seed is its business
            file=f"{question.implementation}.py",
            source=question.source,
            stages=self.plan.lab.stages,
            inputs=self.asked.inputs(question.seed),
            limits=self.plan.lab.limits,
            seed=seeds.shipped(question.repeat),
            profile=PROFILE,
        )

    def _marked(self, question: Question, answer: JobResult, *, wall: float) -> Trial:
        expected = self.asked.answers(question.seed, question.implementation)
        return Trial(
            implementation=question.implementation,
            seed=question.seed,
            repeat=question.repeat,
            source=source_digest(question.source),
            status=answer.status,
            marks=score.mark(answer, expected, self.plan.lab),
            seconds=answer.seconds,
            wall=round(wall, 4),
            peak_memory_mb=answer.peak_memory_mb,
            stdout=answer.stdout,
            stderr=answer.stderr,
            suspicious=_suspicious(question, answer),
        )


def _suspicious(question: Question, answer: JobResult) -> tuple[str, ...]:
    """What an instructor should look at; a plain mistake is none of it."""
    if answer.status == "protocol":
        return (f"{question.implementation}: {answer.cause}",)
    if answer.status == "killed":
        return (f"{question.implementation}: it was killed: {answer.cause}",)
    return ()
