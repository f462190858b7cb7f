"""Does an audit notice? Planted labs whose cause it must name, clean runs that it must not blame.

``tests/irreproducible/labs/<slug>/planted.toml`` says how a lab is irreproducible: ``causes`` (the
audit must name one of these variations or holds), or ``together`` (all of them, as one cause),
``also`` (what is true besides, and no false alarm) and ``leaves`` (files to remove).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from paritylab.audit.model import Audit, CellAudit, Observation
from paritylab.audit.plan import standard
from paritylab.audit.variations import HOLDS, VARIATIONS
from paritylab.errors import CatalogError, nearest
from paritylab.model import Cell, Lab
from paritylab.schema import parse_toml

PLANTED = Path("tests/irreproducible")
"""A project of its own: labs/ and a link to the environments."""
CLEAN_RUNS = 500
"""So many clean runs must raise no alarm."""
# Planted labs run where no Docker engine is; a worker per cell and other versions show nothing new.
_LEFT_OUT = ("engine-docker", "engine-venv", "cold", "device", "environment")
_FILE = "planted.toml"
_QUICK = ("multiply", "train", "evaluate", "debug", "control-flow", "migrate", "visualize")


class _PlantedModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    causes: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    leaves: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What must be found in a lab, and which files it leaves outside of its folder."""

    lab: str
    causes: tuple[str, ...]
    together: tuple[str, ...]
    also: tuple[str, ...]
    leaves: tuple[Path, ...]

    def clean(self) -> None:
        """Remove what the lab leaves behind."""
        for path in self.leaves:
            path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What an audit made of a planted lab: ``named`` if the cause was, ``wrong`` what else was."""

    lab: str
    named: bool
    told: str
    wrong: tuple[str, ...]


def variations() -> tuple[str, ...]:
    """The variations that planted and clean labs are run under."""
    return tuple(name for name in standard("venv") if name not in _LEFT_OUT)


def read_planted(lab: Lab) -> Planted:
    """Read a lab's planted.toml; raises CatalogError for a cause that no audit could name."""
    where = f"labs/{lab.slug}/{_FILE}"
    model = parse_toml(lab.folder / _FILE, _PlantedModel, shown=where)
    for name in (*model.causes, *model.together, *model.also):
        if name not in VARIATIONS and name not in HOLDS:
            raise CatalogError(
                f"there is no variation `{name}`", where=where,
                why=nearest(name, [*VARIATIONS, *HOLDS]),
            )  # fmt: skip
    if bool(model.causes) == bool(model.together):
        raise CatalogError("give either `causes` or `together`", where=where)
    return Planted(lab=lab.slug, **model.model_dump())


def detections(audit: Audit, planted: Sequence[Planted]) -> tuple[Detection, ...]:
    """Say for each planted lab whether the audit named its cause, and only that."""
    return tuple(_detection(audit, one) for one in planted)


def _detection(audit: Audit, planted: Planted) -> Detection:
    cells = [cell for cell in audit.cells if cell.lab == planted.lab and _ran(cell)]
    causes = [cause for cell in cells for cause in cell.causes]
    told = [set(cause.variations) | set(cause.held_by) for cause in causes]
    wanted = [{name} for name in planted.causes] or [set(planted.together)]
    true = wanted + [{name} for name in planted.also]
    wrong = ["+".join(sorted(names)) or "nothing" for names in told if names not in true]
    sentence = causes[0].sentence if causes else _silence(cells)
    return Detection(
        lab=planted.lab,
        named=any(names in wanted for names in told),
        told=sentence,
        wrong=tuple(wrong),
    )


def _ran(cell: CellAudit) -> bool:
    return cell.baseline is not None


def _silence(cells: Sequence[CellAudit]) -> str:
    return cells[0].sentence if cells else "it did not run"


def false_alarms(audit: Audit) -> tuple[Observation, ...]:
    """Runs of clean cells that would make the audit say that a cell breaks its word."""
    broken = {(cell.cell, names) for cell in audit.cells for names in cell.broken}
    return tuple(
        one
        for one in audit.observations
        if one.phase == "plan" and (one.cell, "+".join(one.variations)) in broken
    )


def enough(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells for a good CLEAN_RUNS runs, lab by lab: the quick ones first."""
    wanted = CLEAN_RUNS // len(variations()) + 2
    by_size = sorted(cells, key=lambda cell: (cell.lab.slug not in _QUICK, cell.lab.slug))
    return by_size[:wanted]


def clean_runs(audit: Audit) -> int:
    """How many runs of clean cells were judged."""
    return sum(one.phase == "plan" for one in audit.observations)
