"""How far the implementations of a lab really stray from the oracle, and the tolerance it earns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from paritylab.engines.base import Engine
from paritylab.fleet import LocalFleet
from paritylab.model import Cell, CellResult, Comparison, OutputSpec, Verdict
from paritylab.runner import Settings, run_all

MARGIN = 5.0  # how much wider than the measured spread a tolerance should be
LOOSE, TIGHT = 0.1, 0.5  # share of the tolerance in use: below is too loose, above too tight


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What was measured for one output.

    ``used`` is the largest share of the tolerance in use (1.0 = at the limit) and ``where`` the
    cell that used it; ``error`` the largest |got - expected|, ``ulp`` the largest distance in
    units of the last place; ``rtol`` and ``atol`` are today's, scaled so that ``used`` would be
    1 / MARGIN.
    """

    output: str
    error: float
    ulp: int | None
    used: float
    where: str
    runs: int
    rtol: float
    atol: float

    @property
    def advice(self) -> str:
        """``fits``, or which way today's tolerance is wrong."""
        if self.used < LOOSE:
            return "too loose"
        return "too tight" if self.used > TIGHT else "fits"


def measure(
    cells: Sequence[Cell],
    engine: Engine,
    *,
    seeds: Iterable[int],
    profiles: Sequence[str],
    done: Callable[[CellResult], None],
) -> list[tuple[str, CellResult]]:
    """Run all cells for every seed and profile; each result with a label of its conditions."""
    found: list[tuple[str, CellResult]] = []
    for profile in profiles:
        with LocalFleet(engine) as fleet:
            for seed in seeds:
                settings = Settings(profile=profile, seed=seed)
                results = run_all(cells, engine, settings, jobs=2, done=done, fleet=fleet)
                found += [(f"{result.cell} {profile} seed {seed}", result) for result in results]
    return [(label, one) for label, one in found if one.verdict is not Verdict.UNSUPPORTED]


def spreads(outputs: Iterable[OutputSpec], found: Sequence[tuple[str, CellResult]]) -> list[Spread]:
    """Summarise results per output with a tolerance, in the lab's order."""
    return [_spread(spec, found) for spec in outputs if spec.compare is Comparison.CLOSE]


def _spread(spec: OutputSpec, found: Sequence[tuple[str, CellResult]]) -> Spread:
    seen = [(label, result) for label, result in found if spec.name in result.tolerance_used]
    used, where = max(
        ((result.tolerance_used[spec.name], label) for label, result in seen), default=(0.0, "")
    )
    ulps = [result.max_ulp[spec.name] for _, result in seen if spec.name in result.max_ulp]
    scale = used * MARGIN
    return Spread(
        output=spec.name,
        error=max((result.max_error[spec.name] for _, result in seen), default=0.0),
        ulp=max(ulps, default=None),
        used=used,
        where=where,
        runs=len(seen),
        rtol=spec.rtol * scale,
        atol=spec.atol * scale,
    )
