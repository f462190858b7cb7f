"""mutants: a planted fault turns its cell red, or is counted as missed."""

from pathlib import Path

import pytest

from paritylab import catalog
from paritylab.accept import accept
from paritylab.engines.here import HereEngine
from paritylab.errors import CatalogError, EngineError
from paritylab.matrix import Selection, cells
from paritylab.mutants import hunt, read_mutants, runs

CAUGHT = """
[[mutant]]
file = "pytorch.py"
old = 'inputs["x"] + inputs["x"]'
new = 'inputs["x"] - inputs["x"]'
why = "wrong sign"
"""
MISSED = """
[[mutant]]
file = "tf2.py"
old = 'inputs["x"] + inputs["x"]'
new = '2 * inputs["x"]'
why = "no fault at all"
"""


def test_caught_and_missed_faults_are_told_apart(project: Path, tmp_path: Path) -> None:
    """A real fault is caught by a real run, an equivalent program is not."""
    (project / "labs/double/mutants.toml").write_text(CAUGHT + MISSED)
    loaded = catalog.load(project)
    lab = loaded.labs["double"]
    accept(lab, [], []).write()
    engine = HereEngine()
    planted, found, done = read_mutants(lab), cells(loaded, Selection()), []
    try:
        outcomes = hunt(planted, found, engine, folder=tmp_path / "mutants", done=done.append)
    finally:
        engine.close()
    assert len(done) == runs(planted, found)  # the total that the progress bar shows
    assert [(o.mutant.why, o.caught) for o in outcomes] == [
        ("wrong sign", True),
        ("no fault at all", False),
    ]


def test_a_cell_that_is_red_anyway_catches_nothing(project: Path, tmp_path: Path) -> None:
    """Without a sound baseline every fault would look caught."""
    (project / "labs/double/mutants.toml").write_text(CAUGHT)
    source = project / "labs/double/pytorch.py"
    source.write_text(source.read_text().replace('"rounds": inputs["rounds"]', '"rounds": 5'))
    loaded = catalog.load(project)
    lab = loaded.labs["double"]
    accept(lab, [], []).write()
    engine = HereEngine()
    try:
        with pytest.raises(EngineError, match="is diverged without a fault"):
            hunt(
                read_mutants(lab),
                cells(loaded, Selection()),
                engine,
                folder=tmp_path / "mutants",
                done=lambda _: None,
            )
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("pytorch.py", "tf3.py", r"mutants.toml: mutant.0.file: no implementation tf3.py"),
        ('inputs["x"] + inputs["x"]', "absent", r"mutant.0.old: `old` occurs 0 times"),
        ('inputs["x"] + inputs["x"]', 'inputs["x"]', r"occurs 2 times"),
        ("why", "wy", r"wy: unknown key"),
    ],
)
def test_a_fault_that_fits_no_file_is_an_error(
    project: Path, before: str, after: str, message: str
) -> None:
    """A mutant that changes nothing would look like a caught or missed one."""
    (project / "labs/double/mutants.toml").write_text(CAUGHT.replace(before, after, 1))
    with pytest.raises(CatalogError, match=message):
        read_mutants(catalog.load(project).labs["double"])
