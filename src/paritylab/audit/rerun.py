"""The recorded cells run again on this machine, held against what the bundle holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paritylab.audit.bundle import collect
from paritylab.audit.changes import Side, changes
from paritylab.audit.diff import (
    CellDiff,
    Diff,
    State,
    attributed,
    distances,
    seen_moving,
    side,
    specs_of,
)
from paritylab.audit.evidence import cells_of
from paritylab.audit.model import CellAudit, Observation, Outcome
from paritylab.audit.observe import kept, observe
from paritylab.audit.run import Workshop
from paritylab.audit.tasks import Ran, first_baseline, timed
from paritylab.audit.verify import Bundle, unlocked
from paritylab.errors import BundleError
from paritylab.locks import parse_lock
from paritylab.model import Cell, Verdict
from paritylab.plan import Options
from paritylab.runner import Settings

WORDS = {
    Outcome.IDENTICAL: "identical",
    Outcome.CLOSE: "close: other bits, within the lab's tolerance",
    Outcome.DIVERGED: "differs: outside the lab's tolerance",
    Outcome.FAILED: "failed",
}


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """What running again gave: the comparison with the bundle, and each cell's outcome."""

    diff: Diff
    outcomes: dict[str, Outcome]

    @property
    def reproduced(self) -> bool:
        """Whether every recorded cell ran here and gave the recorded bits."""
        return self.diff.equal


def rerun(
    bundle: Bundle,
    root: Path,
    *,
    engine: str | None,
    base: str,
    tell: Callable[[str], None] = lambda _: None,
) -> Rerun:
    """Run every cell of the bundle that has outputs once, as its baseline was run.

    ``engine`` None takes the recorded one. Raises BundleError when the project here has none of
    the cells, EngineError and whatever else keeps cells from running.
    """
    recorded = {cell.cell: cell for cell in bundle.audit.cells if cell.baseline}
    engine = engine or str(bundle.audit.facts.get("engine", "venv"))
    settings = Settings(profile=side(bundle).profile)
    options = Options(settings=settings, engine=engine, base=base, root=root).check()
    cells = [cell for cell in cells_of(bundle.audit, root, engine) if cell.id in recorded]
    if not cells:
        commit = bundle.facts["project"].get("commit")
        raise BundleError(
            "the project here has none of the bundle's cells",
            where=str(bundle.path),
            fix=f"git checkout {commit}" if commit else "use the project that it was made of",
        )
    found: dict[str, tuple[CellDiff, Outcome]] = {}
    with Workshop(options) as workshop:

        def done(ran: Ran) -> None:
            found[ran.task.cell.id] = _held(bundle, recorded[ran.task.cell.id], ran, workshop)
            tell(ran.task.cell.id)

        workshop.run([first_baseline(cell) for cell in cells], timed(done))
        here = _here(cells, engine, workshop, root)
    compared = [
        found[name][0] if name in found else _absent(recorded[name]) for name in sorted(recorded)
    ]
    moved = changes(side(bundle), here, [recorded[name] for name in sorted(found)])
    diff = Diff(
        before=bundle.digest,
        after="this machine, now",
        cells=tuple(attributed(compared, moved, seen_moving(bundle))),
        changes=tuple(moved),
    )
    return Rerun(diff=diff, outcomes={name: outcome for name, (_, outcome) in found.items()})


def _here(cells: list[Cell], engine: str, workshop: Workshop, root: Path) -> Side:
    stacks = {f"{c.environment.name}-{c.device}": c.environment.stacks[c.device] for c in cells}
    facts = collect(cells, engine, workshop.images, root)
    return Side(
        facts=facts,
        pins={
            name: parse_lock(one.lock) if one.lock_digest else unlocked(facts["stacks"][name])
            for name, one in stacks.items()
        },
        installations={},
        profile=workshop.profile,
    )


def _held(
    bundle: Bundle, recorded: CellAudit, ran: Ran, workshop: Workshop
) -> tuple[CellDiff, Outcome]:
    facts: dict[str, Any] = {
        "cell": recorded.cell,
        "before": recorded.digest,
        "tier_before": str(recorded.tier),
        "tier_after": None,
    }
    blank = Observation(
        cell=recorded.cell, variations=(), repeat=0, phase="plan",
        outcome=Outcome.FAILED, verdict=Verdict.FAILED,
    )  # fmt: skip
    if ran.answer is None:
        return CellDiff(state=State.UNKNOWN, after=None, note=ran.why, **facts), Outcome.FAILED
    stored = bundle.outputs(recorded.baseline or "")
    problem = workshop.problem(ran.task.cell)
    seen = observe(blank, ran.task.cell, ran.answer, problem=problem, baseline=stored)
    if seen.outcome is Outcome.FAILED:
        note = seen.message
        return CellDiff(state=State.FAILED, after=None, note=note, **facts), Outcome.FAILED
    same = seen.digest == recorded.digest
    state = State.EQUAL if same else State.MOVED
    values = kept(ran.task.cell, ran.answer.values)
    far = distances(stored, values, specs_of(bundle.facts, recorded.lab))
    return (
        CellDiff(state=state, after=seen.digest, note=WORDS[seen.outcome],
                 by_nature=same and bool(far["max_ulp"]), **facts, **far),
        seen.outcome,
    )  # fmt: skip


def _absent(recorded: CellAudit) -> CellDiff:
    return CellDiff(
        cell=recorded.cell, state=State.ONLY_BEFORE, before=recorded.digest, after=None,
        tier_before=str(recorded.tier), tier_after=None,
        note="the project here does not have this cell",
    )  # fmt: skip
