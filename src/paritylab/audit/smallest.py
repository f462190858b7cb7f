"""The smallest part of a set that still does something: delta debugging; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise


def smallest(names: Sequence[str], holds: Callable[[tuple[str, ...]], bool]) -> tuple[str, ...]:
    """Return a part of ``names`` for which ``holds`` is true and none of which can be left out.

    ``holds(names)`` must be true. This is ddmin (Zeller and Hildebrandt 2002): halves first, then
    finer parts and their complements; each question is asked once.
    """
    answers: dict[tuple[str, ...], bool] = {tuple(names): True}

    def asked(part: tuple[str, ...]) -> bool:
        if part not in answers:
            answers[part] = holds(part)
        return answers[part]

    kept, parts = tuple(names), 2
    while len(kept) > 1:
        chunks = _chunks(kept, parts)
        rests = [tuple(n for n in kept if n not in chunk) for chunk in chunks]
        found = next((part for part in (*chunks, *rests) if part and asked(part)), None)
        if found is not None:
            parts = 2 if found in chunks else max(parts - 1, 2)
            kept = found
        elif parts < len(kept):
            parts = min(2 * parts, len(kept))
        else:
            break
    return kept


def _chunks(names: tuple[str, ...], parts: int) -> list[tuple[str, ...]]:
    edges = [len(names) * place // parts for place in range(parts + 1)]
    return [names[a:b] for a, b in pairwise(edges) if a < b]
