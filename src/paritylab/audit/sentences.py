"""What a search found, in sentences; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paritylab.audit.model import Cause, Difference, Observation, Outcome
from paritylab.audit.variations import Variation, found

_SEVERITY = [Outcome.IDENTICAL, Outcome.CLOSE, Outcome.DIVERGED, Outcome.FAILED]


def _worst(seen: Iterable[Observation]) -> Observation:
    return max(seen, key=lambda one: _SEVERITY.index(one.outcome))


def cause(names: tuple[str, ...], seen: Observation) -> Cause:
    """The cause that these variations are, as ``seen`` shows it."""
    what = " and ".join(found(name).changes for name in names)
    head = f"changes with {what}" if len(names) == 1 else f"changes only with {what} together"
    return Cause(
        variations=names, held_by=(), outcome=seen.outcome, first=seen.first,
        sentence=head + where(seen),
    )  # fmt: skip


def noise(holds: tuple[str, ...], moved: Sequence[Observation], *, fresh: bool) -> Cause:
    """The cause of a cell that moves by itself, and stays where ``holds`` are held still."""
    seen = _worst(moved)
    head = f"changes from {'worker to worker' if fresh else 'run to run'}"
    variations: list[Variation] = [found(name) for name in holds]
    if variations:
        head += " with " + " and ".join(one.changes for one in variations)
    else:
        head += ", and nothing that was held still stops it"
    return Cause(
        variations=(), held_by=holds, outcome=seen.outcome, first=seen.first,
        sentence=head + where(seen),
    )  # fmt: skip


def unconfirmed(seen: Sequence[Observation]) -> Cause:
    """What is left to say where nothing moved again."""
    moved = [one for one in seen if one.moved]
    worst = _worst(moved)
    under = ", ".join(dict.fromkeys("+".join(one.variations) or "nothing" for one in moved))
    return Cause(
        variations=(), held_by=(), outcome=worst.outcome, first=worst.first,
        sentence=f"changed under {under}, and not when that was tried again" + where(worst),
    )  # fmt: skip


def where(seen: Observation) -> str:
    """Return ``; first at step 3, `w1[4,7]`, 2 ULP``, or what went wrong instead."""
    if seen.first is None:
        return f"; it {seen.outcome}: {seen.message}" if seen.message else ""
    return f"; first at {place(seen.first)}"


def place(first: Difference) -> str:
    """Return ``step 3, `w1[4,7]`, 2 ULP``."""
    index = f"[{','.join(map(str, first.index))}]" if first.index else ""
    parts = [f"`{first.output}{index}`"]
    if first.step is not None:
        parts.insert(0, f"step {first.step}")
    parts.append(
        f"{first.ulp} ULP" if first.ulp is not None else f"{first.baseline} became {first.got}"
    )
    return ", ".join(parts)


def counted(number: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
