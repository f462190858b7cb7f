"""What is asked: the inputs of each hidden seed at once, their answers when one has answered."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from paritylab import scenarios
from paritylab.model import Lab, Value


class Questions:
    """A lab's inputs and answers by hidden seed; thread-safe, each computed once.

    Raises CatalogError when scenario.py is at fault.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._lock = threading.Lock()
        self._inputs: dict[int, dict[str, Value]] = {}
        self._answers: dict[int, Mapping[str, Mapping[str, Value]]] = {}

    def inputs(self, seed: int) -> Mapping[str, Value]:
        """What is sent to a container for ``seed``; the oracle is not asked."""
        with self._lock:
            if seed not in self._inputs:
                self._inputs[seed] = scenarios.pose(self._lab, seed)
            return self._inputs[seed]

    def answers(self, seed: int, implementation: str) -> Mapping[str, Value]:
        """What is right for ``seed``; to be called once a submission has answered, not before."""
        inputs = self.inputs(seed)
        with self._lock:
            if seed not in self._answers:
                self._answers[seed] = scenarios.answer(self._lab, dict(inputs))
            return self._answers[seed][implementation]
