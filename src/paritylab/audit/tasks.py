"""What an audit runs, one at a time, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from paritylab.audit import shim
from paritylab.audit.conditions import BASELINE, Condition
from paritylab.engines.base import Unavailable
from paritylab.errors import DockerError, ImageError, InterpreterError, LabError, LockError
from paritylab.gpurun import Answer
from paritylab.model import Cell
from paritylab.wire import JobResult

_NOT_THE_LABS = (DockerError, ImageError, InterpreterError, LockError)
CANNOT = "CannotVary"
"""The exception of injob.py that says why a variation cannot be made."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run to make; ``seed`` None is the lab's own for the frameworks."""

    condition: Condition
    cell: Cell
    repeat: int = 0
    phase: str = "plan"
    seed: int | None = None

    @property
    def id(self) -> str:
        """Unique within an audit: a journal's unit."""
        seed = "" if self.seed is None else f"|{self.seed}"
        return f"{self.phase}|{self.condition.id}|{self.repeat}|{self.cell.id}{seed}"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of a task: an answer, or a sentence why there is none (``fix`` may help).

    ``seen`` is what a job sees of its machine under this condition.
    """

    task: Task
    answer: JobResult | None
    why: str = ""
    fix: str = ""
    seen: dict[str, str]


def ran(task: Task, answer: Answer, seen: dict[str, str]) -> Ran:
    """What an answer means for an audit."""
    if isinstance(answer, Unavailable):
        return Ran(task=task, answer=None, why=answer.reason, fix=answer.fix, seen={})
    if isinstance(answer, LabError) and (isinstance(answer, _NOT_THE_LABS) or _refused(answer)):
        return Ran(task=task, answer=None, why=_told(answer), fix=answer.fix or "", seen={})
    if isinstance(answer, LabError):
        # The machine's fault or the lab's: nobody knows, so it counts as a failed run.
        answer = JobResult(status="error", cause=str(answer))
    if answer.error_type == CANNOT:
        return Ran(task=task, answer=None, why=answer.message, seen={})
    return Ran(task=task, answer=answer, seen=seen)


def _refused(fault: LabError) -> bool:
    """Whether a worker could not start because its machine cannot make the variation."""
    return any(words in str(fault) for words in shim.REFUSALS)


def _told(fault: LabError) -> str:
    return f"{fault.what} ({fault.why})" if fault.why else fault.what


def timed(done: Callable[[Ran], None]) -> Callable[[Ran], None]:
    """Pass on what is done, one at a time."""
    lock = threading.Lock()

    def one(ran: Ran) -> None:
        with lock:
            done(ran)

    return one


def first_baseline(cell: Cell) -> Task:
    """The run that all others of a cell are held against."""
    return Task(condition=BASELINE, cell=cell)
