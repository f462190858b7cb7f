"""What a grading run asks of every submission."""

from __future__ import annotations

from dataclasses import dataclass

from paritylab.model import Environment, Lab, WorkerKey
from paritylab.rubric import Constructs

PROFILE = "portable"
"""Strangers' code is held still like our own: a score must not depend on the machine."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a grading run asks of every submission: the same for all of them.

    ``seeds`` are those of the inputs, ``repeats`` how often each question is put. ``jobs``
    submissions are graded at a time.
    """

    lab: Lab
    environment: Environment
    implementations: tuple[str, ...]
    seeds: tuple[int, ...]
    repeats: int = 1
    jobs: int = 1

    def worker_key(self, implementation: str) -> WorkerKey:
        """The worker that runs an implementation."""
        support = self.environment.support[implementation]
        return WorkerKey(
            environment=self.environment,
            device="cpu",
            profile=PROFILE,
            preload=support.preload,
            variables={**self.environment.profiles[PROFILE], **support.variables},
        )

    def worker_keys(self) -> list[WorkerKey]:
        """The workers of a lane, each once."""
        keys = [self.worker_key(name) for name in self.implementations]
        return list({key.name: key for key in keys}.values())

    def constructs(self, implementation: str) -> Constructs:
        """What the rubric says of an implementation's source."""
        rubric = self.lab.rubric
        return rubric.constructs.get(implementation, Constructs()) if rubric else Constructs()
