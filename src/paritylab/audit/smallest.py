"""The smallest part of a set that still does something: delta debugging; pure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import pairwise


def smallest(names: Sequence[str], holds: Callable[[tuple[str, ...]], bool]) -> tuple[str, ...]:
    """Return a part of ``names`` for which ``holds`` is true and none of which can be left out.

    ``holds(names)`` must be true. This is ddmin (Zeller and Hildebrandt 2002): halves first, then
    finer parts and their complements; each question is asked once.
    """
    asking = questions(names)
    part = next(asking, None)
    try:
        while part is not None:
            part = asking.send(holds(part))
    except StopIteration as end:
        found: tuple[str, ...] = end.value
        return found
    return tuple(names)


def questions(names: Sequence[str]) -> Generator[tuple[str, ...], bool, tuple[str, ...]]:
    """``smallest`` for whoever asks several at once: yields a part, is sent whether it holds."""
    answers: dict[tuple[str, ...], bool] = {tuple(names): True}
    kept, parts = tuple(names), 2
    while len(kept) > 1:
        chunks = _chunks(kept, parts)
        rests = [tuple(n for n in kept if n not in chunk) for chunk in chunks]
        found = None
        for part in filter(None, (*chunks, *rests)):
            if part not in answers:
                answers[part] = yield part
            if answers[part]:
                found = part
                break
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
