"""How long cells took when they were last audited here: what an estimate rests on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from statistics import median

from paritylab import atomic, cache
from paritylab.audit.model import Observation

_FILE = "durations.json"


def known() -> dict[str, float]:
    """Return seconds of a run by cell; nothing, where there was none."""
    with suppress(OSError, TypeError, ValueError):
        found = json.loads((cache.folder("audit") / _FILE).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return {str(cell): float(seconds) for cell, seconds in found.items()}
    return {}


def usual(seen: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Return seconds of a run by cell: what was ``seen``, or what it took ``before``, if less.

    The first run of all waits for files that no later one reads from the disk: 20 seconds were
    seen of a cell that takes 2.
    """
    return {cell: min(seconds, before.get(cell, seconds)) for cell, seconds in seen.items()}


def learn(observations: Iterable[Observation]) -> None:
    """Keep the medians of what was just seen, beside those of other cells."""
    seen: dict[str, list[float]] = {}
    for one in observations:
        seen.setdefault(one.cell, []).append(one.seconds)
    fresh = {cell: round(median(times), 3) for cell, times in seen.items()}
    with suppress(OSError):  # an estimate is not worth a failed audit
        text = json.dumps(known() | fresh, indent=1, sort_keys=True)
        atomic.write(cache.folder("audit") / _FILE, text)
