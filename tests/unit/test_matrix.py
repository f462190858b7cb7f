"""matrix: labs x environments in a stable order, with reasons for the gaps."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from paritylab import catalog
from paritylab.errors import UsageError
from paritylab.matrix import Selection, cells, why_unsupported


def test_every_cell_is_there_in_a_stable_order(project: Path) -> None:
    """xdist workers must collect the same list; nothing is left out silently."""
    shutil.copytree(project / "labs/double", project / "labs/again")
    loaded = catalog.load(project)
    ids = [cell.id for cell in cells(loaded, Selection())]
    assert ids == [
        "again-pytorch@tiny-cpu",
        "double-pytorch@tiny-cpu",
        "again-tf1@tiny-cpu",
        "double-tf1@tiny-cpu",
        "again-tf2@tiny-cpu",
        "double-tf2@tiny-cpu",
    ]


def test_selection_narrows_and_refuses_unknown_names(project: Path) -> None:
    """Each option narrows; a wrong implementation or device is an error, not an empty run."""
    loaded = catalog.load(project)
    chosen = cells(loaded, Selection(implementations=("tf2",)))
    assert [cell.implementation for cell in chosen] == ["tf2"]
    assert cells(loaded, Selection(device="cuda")) == []
    with pytest.raises(UsageError, match="did you mean `pytorch`"):
        cells(loaded, Selection(implementations=("pytroch",)))
    with pytest.raises(UsageError, match="unknown device"):
        cells(loaded, Selection(device="tpu"))


def test_the_environment_or_the_lab_may_declare_a_gap(project: Path) -> None:
    """`unsupported` cells carry the reason that the file states."""
    loaded = catalog.load(project)
    reasons = {cell.implementation: cell.unsupported for cell in cells(loaded, Selection())}
    assert reasons == {
        "pytorch": None,
        "tf1": "the fixture has no graph version",
        "tf2": None,
    }


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        ("numpy>=2", None),
        ("NumPy", None),
        ("numpy<2", "tiny has numpy 2.2.6, the lab needs numpy<2"),
        ("torch-geometric", "tiny has no torch-geometric"),
    ],
)
def test_requirements_are_held_against_the_lock(
    project: Path, requirement: str, reason: str | None
) -> None:
    """A lab states packages, never environments: adding an environment touches no lab."""
    loaded = catalog.load(project)
    lab, tiny = loaded.labs["double"], loaded.environments["tiny"]
    stack = replace(tiny.stacks["cpu"], packages={"numpy": "2.2.6"})
    tiny = replace(tiny, stacks={"cpu": stack})
    ours = replace(lab.implementations["pytorch"], requires=(requirement,))
    lab = replace(lab, implementations={**lab.implementations, "pytorch": ours})
    assert why_unsupported(lab, "pytorch", tiny, "cpu") == reason


def test_worker_key_separates_what_an_import_reads(project: Path) -> None:
    """Profile, preloaded modules and variables each make another worker; labs do not."""
    shutil.copytree(project / "labs/double", project / "labs/again")
    loaded = catalog.load(project)
    keys = {c.id: c.worker_key("portable").name for c in cells(loaded, Selection())}
    assert keys["again-pytorch@tiny-cpu"] == keys["double-pytorch@tiny-cpu"]
    assert keys["double-pytorch@tiny-cpu"] != keys["double-tf2@tiny-cpu"]
    cell = cells(loaded, Selection())[0]
    assert cell.worker_key("portable").name != cell.worker_key("native").name
