"""Observations of a cell -> how far it reproduces, in a tier and a sentence; pure.

A cell keeps what it declares (``reached``) when

- under every variation that the profile promises bits for, the bits are the baseline's; what says
  ``cpu_bits = "model"`` is let off where the CPU is another, and outputs with ``bits = false``
  always;
- under every other variation, and combination with one, the outputs stay within the lab's
  tolerance of the oracle;
- outputs with ``bits = false`` that scatter beyond it have, over seeded replicates, the expected
  mean: an equivalence test within the tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from paritylab.audit.conditions import combined
from paritylab.audit.model import (
    Cause,
    CellAudit,
    Equivalence,
    Observation,
    Outcome,
    Promise,
    Tier,
)
from paritylab.audit.observe import by_nature
from paritylab.audit.variations import VARIATIONS
from paritylab.model import Cell
from paritylab.stacks import CpuBits


def cell_audit(  # noqa: PLR0913 - what was seen, and what was found out about it
    cell: Cell,
    seen: Sequence[Observation],
    *,
    baseline: str | None,
    profile: str = "portable",
    causes: tuple[Cause, ...] = (),
    equivalences: tuple[Equivalence, ...] = (),
) -> CellAudit:
    """Return the verdict on a cell from its observations of the plan, the baseline first."""
    blank = CellAudit(
        cell=cell.id, lab=cell.lab.slug, implementation=cell.implementation,
        environment=cell.environment.name, device=cell.device, tier=Tier.UNKNOWN, reached=False,
        sentence="nothing was varied, so nothing is known", baseline=baseline, causes=causes,
        equivalences=equivalences, by_nature=by_nature(cell),
    )  # fmt: skip
    first = next((one for one in seen if not one.variations), None)
    varied = [one for one in seen if one.variations]
    if first is None or (first.outcome is not Outcome.FAILED and not varied):
        return blank
    if first.outcome is Outcome.FAILED:
        sentence = f"it fails without any variation: {first.message}"
        return replace(blank, tier=Tier.NONE, sentence=sentence)
    broken = _broken(cell, varied, profile=profile, statistical=_shown(equivalences))
    verdict = replace(
        blank,
        tier=_tier(seen, equivalences, profile),
        reached=not broken and (first.outcome is Outcome.IDENTICAL or _shown(equivalences)),
        digest=first.digest,
        same_bits=_names(varied, moved=False),
        moved=_names(varied, moved=True),
        broken=broken,
        max_ulp=max((ulp for one in varied for ulp in one.max_ulp.values()), default=None),
        max_relative=max((d for one in varied for d in one.max_relative.values()), default=None),
    )
    return replace(verdict, sentence=_sentence(verdict, first))


def _shown(equivalences: Sequence[Equivalence]) -> bool:
    return bool(equivalences) and all(one.equivalent for one in equivalences)


def _tier(seen: Sequence[Observation], equivalences: Sequence[Equivalence], profile: str) -> Tier:
    outcomes = {one.outcome for one in seen}
    if Outcome.FAILED in outcomes:
        return Tier.NONE
    if equivalences or Outcome.DIVERGED in outcomes:
        return Tier.STATISTICAL if _shown(equivalences) else Tier.NONE
    promised = {o.outcome for o in seen if _promise(o, profile) is Promise.BITS}
    return Tier.NUMERICAL if Outcome.CLOSE in promised else Tier.BITWISE


def _broken(
    cell: Cell, varied: Sequence[Observation], *, profile: str, statistical: bool
) -> tuple[str, ...]:
    names = []
    for one in varied:
        allowed = {Outcome.IDENTICAL}
        if excused(cell, one) or _promise(one, profile) is Promise.TOLERANCE:
            allowed |= {Outcome.CLOSE}
        if statistical and one.first is None:  # nothing moved but what moves by nature
            allowed |= {Outcome.CLOSE, Outcome.DIVERGED}
        if one.outcome not in allowed:
            names.append("+".join(one.variations))
    return tuple(dict.fromkeys(names))


def excused(cell: Cell, one: Observation) -> bool:
    """Whether the CPU was another, and the lab says that its bits depend on what was changed.

    An emulated CPU approximates as the true one does, so that ``family`` excuses nothing here.
    """
    return cell.cpu_bits is CpuBits.MODEL and "cpu" in _kinds(one)


def _promise(one: Observation, profile: str) -> Promise:
    """What the profile promises: ``native`` takes kernels and threads as the CPU has them."""
    if profile == "native" and _kinds(one) & {"cpu", "affinity"}:
        return Promise.TOLERANCE
    return combined(one.variations).promise


def _kinds(one: Observation) -> set[str]:
    return {VARIATIONS[name].kind for name in one.variations if name in VARIATIONS}


def _names(varied: Sequence[Observation], *, moved: bool) -> tuple[str, ...]:
    """Conditions under which the bits moved at least once, or under which they never did."""
    moving = {one.variations for one in varied if one.moved}
    chosen = (o.variations for o in varied if (o.variations in moving) is moved)
    return tuple(dict.fromkeys("+".join(names) for names in chosen))


def _sentence(verdict: CellAudit, first: Observation) -> str:
    parts = []
    if first.outcome is Outcome.DIVERGED and verdict.tier is Tier.NONE:
        parts.append(f"it leaves its tolerance without any variation: {first.message}")
    if verdict.tier is Tier.STATISTICAL:
        parts.append(_statistics(verdict.equivalences))
    same = len(verdict.same_bits)
    parts.append(f"the same bits under {same} {'change' if same == 1 else 'changes'}")
    if verdict.moved and verdict.tier is not Tier.NONE and verdict.max_ulp is not None:
        near = verdict.max_relative
        relative = "" if near is None else f" ({near:.1e} of the largest element)"
        parts.append(f"within {verdict.max_ulp:,} ULP{relative} under {_others(verdict.moved)}")
    parts += [cause.sentence for cause in verdict.causes]
    if verdict.by_nature and verdict.tier is Tier.BITWISE:
        names = ", ".join(f"`{name}`" for name in verdict.by_nature)
        parts.append(f"{names}: no bits of their own by nature, within tolerance")
    return "; ".join(parts)


def _others(names: Sequence[str]) -> str:
    return "another" if len(names) == 1 else f"{len(names)} others"


def _statistics(equivalences: Sequence[Equivalence]) -> str:
    worst = max(equivalences, key=lambda one: one.p_value)
    weakest = min(one.power for one in equivalences)
    return (
        f"the means of {worst.replicates} seeded replicates are those expected, within the "
        f"tolerance (TOST, p {worst.p_value:.1e}, confidence {worst.confidence:.0%}, "
        f"power {weakest:.0%} or more)"
    )
