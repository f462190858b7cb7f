"""audit.power: what is planted can be named, and a miss or a wrong blame is counted."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import PROJECT

from paritylab import catalog, matrix
from paritylab.audit import power
from paritylab.audit.model import (
    Audit,
    Cause,
    CellAudit,
    Observation,
    Outcome,
    Plan,
    Tier,
)
from paritylab.audit.power import Planted, detections, false_alarms, read_planted
from paritylab.errors import CatalogError
from paritylab.matrix import Selection
from paritylab.model import Verdict

ONE = Planted(lab="clock", causes=("fixed-clock",), together=(), also=("clock",), leaves=())


def audit(*causes: Cause, broken: tuple[str, ...] = ()) -> Audit:
    """An audit of one cell with these causes, and one run under `home`."""
    cell = CellAudit(
        cell="clock-pytorch@tf2-cpu", lab="clock", implementation="pytorch", environment="tf2",
        device="cpu", tier=Tier.NUMERICAL, reached=not broken, sentence="", baseline="x.npz",
        causes=causes, broken=broken,
    )  # fmt: skip
    seen = Observation(
        cell=cell.cell, variations=("home",), repeat=0, phase="plan", outcome=Outcome.CLOSE,
        verdict=Verdict.CLOSE,
    )  # fmt: skip
    return Audit(
        schema_version=1, created="", paritylab="", partial=None, facts={}, variations=(),
        plan=Plan(conditions=(), runs=1, estimated_seconds=0, seed=0), cells=(cell,),
        observations=(seen, replace(seen, phase="search")), skipped=(),
    )  # fmt: skip


def cause(*variations: str, held_by: tuple[str, ...] = ()) -> Cause:
    """A cause as a search tells it."""
    return Cause(
        variations=variations, held_by=held_by, outcome=Outcome.CLOSE, first=None, sentence="why"
    )


def test_a_cause_is_named_by_variation_or_by_what_holds_it() -> None:
    """Both kinds of evidence count, and what is true besides is no wrong blame."""
    (found,) = detections(audit(cause(held_by=("fixed-clock",)), cause("clock")), [ONE])
    assert (found.named, found.wrong) == (True, ())


def test_silence_and_a_wrong_blame_are_misses() -> None:
    """An audit that names another cause has not found this one."""
    assert not detections(audit(), [ONE])[0].named
    (found,) = detections(audit(cause("host-name")), [ONE])
    assert (found.named, found.wrong) == (False, ("host-name",))
    (found,) = detections(audit(cause()), [ONE])
    assert found.wrong == ("nothing",)


def test_two_that_only_act_together_must_be_named_together() -> None:
    """Either alone is wrong."""
    both = replace(ONE, causes=(), together=("locale", "time-zone"), also=())
    assert detections(audit(cause("locale", "time-zone")), [both])[0].named
    assert not detections(audit(cause("locale")), [both])[0].named


def test_a_false_alarm_is_a_planned_run_that_breaks_a_clean_cell_s_word() -> None:
    """Runs of a search are evidence about an alarm, not alarms of their own."""
    assert len(false_alarms(audit(broken=("home",)))) == 1
    assert false_alarms(audit()) == ()
    assert power.clean_runs(audit()) == 1


def test_every_planted_lab_says_what_must_be_found() -> None:
    """At least 14 kinds, two of them with a real framework, each with causes that exist."""
    labs = catalog.load(PROJECT / power.PLANTED).labs
    planted = [read_planted(lab) for lab in labs.values()]
    assert len(planted) >= 14
    named = {name for one in planted for name in (*one.causes, *one.together)}
    assert {"threads", "hash-seed", "memory", "cpu-zen2", "fixed-entropy"} <= named
    sources = [
        one.source.read_text()
        for lab in labs.values()
        for one in lab.implementations.values()
        if one.source
    ]
    assert sum("import torch" in text or "import tensorflow" in text for text in sources) >= 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('causes = ["treads"]', "did you mean `threads`"),
        ("", "either `causes` or `together`"),
        ('causes = ["threads"]\ntogether = ["home"]', "either"),
        ('reason = "luck"', "unknown key"),
    ],
)
def test_a_planted_lab_that_nobody_could_name_is_refused(
    project: Path, text: str, words: str
) -> None:
    """A misspelt cause would be missed for ever, and blamed on the audit."""
    lab = catalog.load(project).labs["double"]
    (lab.folder / "planted.toml").write_text(text)
    with pytest.raises(CatalogError) as told:
        read_planted(lab)
    assert words in str(told.value)


def test_enough_clean_cells_are_chosen() -> None:
    """More than 500 runs, quick labs first, every cell once."""
    loaded = catalog.load(PROJECT, environments=("tf2",))
    cells = [c for c in matrix.cells(loaded, Selection()) if not c.unsupported]
    chosen = power.enough(cells)
    assert len(chosen) * len(power.variations()) > power.CLEAN_RUNS
    assert len({one.id for one in chosen}) == len(chosen)
