"""How a lab is graded, as frozen types: the ``[grading]`` part of a lab.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OTHER_FRAMEWORKS = {
    "pytorch": ("tensorflow", "tf_keras", "keras", "jax"),
    "tf1": ("torch", "jax"),
    "tf2": ("torch", "jax"),
}
OURS = ("scenario", "paritylab")
"""What no submission may import, whatever its framework: the oracle and the grader."""


@dataclass(frozen=True, kw_only=True)
class Constructs:
    """What a source must and must not use, as dotted names (``tf.function``, ``numpy.linalg``).

    A missing required name costs ``points``; a forbidden one zeroes the implementation.
    ``forbid`` holds the defaults too: the other frameworks, the scenario, this package.
    """

    require: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    points: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """What a submission to a lab is graded by.

    ``implementations`` are those a student may write (their files carry the markers),
    ``environment`` is where submissions run, ``seeds`` how many hidden seeds a grading run draws.
    ``constructs`` has an entry for every implementation.
    """

    implementations: tuple[str, ...]
    environment: str
    seeds: int
    constructs: Mapping[str, Constructs] = field(default_factory=dict)


def default_forbidden(implementation: str) -> tuple[str, ...]:
    """The names that are forbidden without being written in any lab.toml."""
    return (*OTHER_FRAMEWORKS[implementation], *OURS)
