"""Hidden seeds: which inputs a grading run asks about, and what a container may know of it."""

from __future__ import annotations

import secrets

from paritylab.errors import UsageError

SEEDS = 2**32
"""Seeds are 0 to this, exclusive: what ``numpy.random.RandomState`` takes."""


def draw(count: int) -> tuple[int, ...]:
    """Draw ``count`` different seeds that nobody can foresee."""
    found: set[int] = set()
    while len(found) < count:
        found.add(secrets.randbelow(SEEDS))
    return tuple(found)


def parse(text: str) -> tuple[int, ...]:
    """Read ``1,2,3``; raises UsageError for anything but different whole numbers in range."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) <= 10 for word in words):
        raise UsageError(
            f"--seeds {text!r:.60} is no list of seeds",
            why=f"whole numbers from 0 to {SEEDS - 1} with commas between them",
            fix="--seeds 1,2,3",
        )
    seeds = tuple(int(word) for word in words)
    if max(seeds) >= SEEDS or len(set(seeds)) < len(seeds):
        raise UsageError(
            f"--seeds {text!r:.60} repeats a seed or leaves the range",
            why=f"each from 0 to {SEEDS - 1}, and each once",
        )
    return seeds


def shipped(repeat: int) -> int:
    """What a container is told as its frameworks' seed: the number of the repeat, nothing else.

    With the seed of the data, a submission that brings a copy of the scenario could draw the
    inputs itself, and ask for others than it was given.
    """
    return repeat
