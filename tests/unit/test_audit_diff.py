"""Two audits compared: what moved, how far, and which recorded difference goes with it."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import html5lib
import pytest
from bundles import QUIET, audited, packed, stand_in
from conftest import FIXTURES
from rich.console import Console

from paritylab.audit import bundle, conduct, outlook, verify
from paritylab.audit.changes import Side, changes
from paritylab.audit.diff import CellDiff, Diff, State, attributed, diff
from paritylab.audit.evidence import gather
from paritylab.audit.model import CellAudit, Tier
from paritylab.audit.plan import Request
from paritylab.audit.records import Distribution, Installation
from paritylab.audit.rerun import rerun
from paritylab.errors import BundleError
from paritylab.locks import Pin
from paritylab.plan import Options, cells_of

__all__ = ["audited", "packed", "stand_in"]
PROGRAM = "labs/double/pytorch.py"


@pytest.fixture(scope="module")
def drifted(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose program is one ULP off in one element, and its bundle `audit.zip`."""
    folder = tmp_path_factory.mktemp("drifted")
    shutil.copytree(audited / "project", folder / "project")
    path = folder / "project" / PROGRAM
    text = path.read_text()
    assert "import numpy" not in text
    path.write_text(
        text.replace("def run(", "import numpy\n\n\ndef run_exactly(")
        + "\n\ndef run(inputs, workdir):\n    outputs = run_exactly(inputs, workdir)\n"
        "    off = outputs['doubled'].copy()\n"
        "    off[1] = numpy.nextafter(off[1], numpy.float32(9))\n"
        "    return {**outputs, 'doubled': off}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FIXTURES / "stand_in")
        patch.setenv("PYTHONPATH", str(FIXTURES / "stand_in"))
        options = Options(engine="here", root=folder / "project")
        request = Request(variations=("repeat",), pairs=0)
        prepared = conduct.prepare(cells_of(options), options, request, jobs=2)
        conduct.run_audit(prepared, out=folder / "audit", jobs=2)
    evidence = gather(folder / "audit", folder / "project")
    bundle.write(folder / "audit.zip", evidence, key=None, progress=QUIET)
    return folder


def test_the_same_audit_is_equal(packed: Path) -> None:
    """Nothing moved, nothing is recorded differently, and the sentence says so."""
    found = diff(verify.read(packed), verify.read(packed))
    assert found.equal
    assert found.changes == ()
    assert found.verdict == "1 of 1 cell with the same bits; none moved"


def test_a_moved_cell_is_told_with_element_distance_and_cause(packed: Path, drifted: Path) -> None:
    """The first element, one ULP, and the program that was changed in between."""
    found = diff(verify.read(packed), verify.read(drifted / "audit.zip"))
    [cell] = [one for one in found.cells if one.state is not State.UNKNOWN]
    assert cell.state is State.MOVED
    assert (cell.first.output, cell.first.index, cell.first.ulp) == ("doubled", (1,), 1)
    assert cell.max_ulp == {"doubled": 1}
    assert cell.goes_with[0].kind == "program"
    assert PROGRAM in cell.goes_with[0].sentence
    assert PROGRAM in found.verdict
    assert not found.equal


def test_a_comparison_is_told_to_people_and_programs(packed: Path, drifted: Path) -> None:
    """JSON parses back with the same facts, the page is one valid file, twice the same bytes."""
    found = diff(verify.read(packed), verify.read(drifted / "audit.zip"))
    plain = json.loads(outlook.to_json(found))
    assert plain["verdict"] == found.verdict
    [moved] = [one for one in plain["cells"] if one["state"] == "moved"]
    assert moved["first"]["ulp"] == 1
    assert moved["goes_with"][0]["sentence"].startswith("program ")
    page = outlook.to_html(found)
    html5lib.HTMLParser(strict=True).parse(page)
    assert PROGRAM in page
    assert outlook.to_html(found) == page


def test_running_again_gives_the_recorded_bits(audited: Path, packed: Path) -> None:
    """On the machine and project that it came from."""
    result = rerun(verify.read(packed), audited / "project", engine=None, base="auto")
    assert result.reproduced
    assert set(result.outcomes.values()) == {"identical"}


def test_running_again_elsewhere_tells_what_differs(packed: Path, drifted: Path) -> None:
    """Another checkout: the cell has other bits, within tolerance, and its program is named."""
    result = rerun(verify.read(packed), drifted / "project", engine=None, base="auto")
    assert not result.reproduced
    assert set(result.outcomes.values()) == {"close"}
    [cell] = result.diff.cells
    assert cell.max_ulp == {"doubled": 1}
    assert PROGRAM in cell.goes_with[0].sentence


def test_a_cell_that_fails_here_is_told(audited: Path, packed: Path, tmp_path: Path) -> None:
    """It is neither equal nor moved, and the exception is shown."""
    shutil.copytree(audited / "project", tmp_path / "project")
    program = tmp_path / "project" / PROGRAM
    program.write_text("def run(inputs, workdir):\n    raise RuntimeError('not today')\n")
    result = rerun(verify.read(packed), tmp_path / "project", engine=None, base="auto")
    [cell] = result.diff.cells
    assert cell.state is State.FAILED
    assert "not today" in cell.note
    assert not result.reproduced


def test_a_project_without_the_cells_is_told(packed: Path, tmp_path: Path) -> None:
    """Nothing to run is no green."""
    shutil.copytree(FIXTURES / "valid", tmp_path / "project")
    (tmp_path / "project/labs/double").rename(tmp_path / "project/labs/triple")
    with pytest.raises(BundleError, match="none of the bundle's cells"):
        rerun(verify.read(packed), tmp_path / "project", engine=None, base="auto")


def audit_of(cell: str, implementation: str, *, environment: str = "old") -> CellAudit:
    return CellAudit(
        cell=cell, lab="train", implementation=implementation, environment=environment,
        device="cpu", tier=Tier.BITWISE, reached=True, sentence="",
    )  # fmt: skip


def package(name: str, *requires: str) -> Distribution:
    return Distribution(
        name=name, version="1", pinned=True, files=1, changed=(), missing=0, missing_examples=(),
        wheel=None, wheel_files=0, not_wheel=(), modules=(name,), requires=requires,
    )  # fmt: skip


CELLS = [audit_of("t", "pytorch"), audit_of("f", "tf1"), audit_of("g", "tf2")]
STACK = {
    "environment": "old", "device": "cpu", "lock": "", "python": "3.11", "base": "b", "image": None,
    "profiles": {"portable": {"OMP_NUM_THREADS": "1"}},
    "preload": {"pytorch": ["torch"], "tf1": ["tensorflow.compat"], "tf2": ["tensorflow"]},
}  # fmt: skip
PACKAGES = (
    package("torch", "sympy"), package("sympy"), package("tensorflow", "ml-dtypes", "numpy"),
    package("ml-dtypes"), package("numpy"), package("rich"),
)  # fmt: skip


def one_side(**versions: str) -> Side:
    """A run in which the packages have version 1, but for those given."""
    known = {one.name: "1" for one in PACKAGES} | versions
    return Side(
        facts={
            "host": {"cpu": "A", "kernel": "6"}, "engine": {"name": "venv"},
            "stacks": {"old-cpu": STACK}, "project": {"commit": "c", "dirty": False},
            "labs": {"train": {"seed": 0, "files": {}, "requires": {}}},
        },
        pins={"old-cpu": {n: Pin(name=n, version=v, hashes=(v,)) for n, v in known.items()}},
        installations={
            "old-cpu": Installation(
                python="3.11", distributions=PACKAGES, absent=(), unknown=(), unknown_count=0,
                links={}, byte_code=0, stale_byte_code=(), unreadable=(),
            )
        },
        profile="portable",
    )  # fmt: skip


def told(cell: CellAudit, state: State) -> CellDiff:
    return CellDiff(
        cell=cell.cell, state=state, before="1", after="2", tier_before=None, tier_after=None
    )


def test_a_package_reaches_the_cells_whose_program_needs_it() -> None:
    """By the needs that packages declare: two steps away counts, beside it does not."""
    found = changes(one_side(), one_side(sympy="2", numpy="2", rich="2", torch="2"), CELLS)
    assert {one.name: dict(one.cells) for one in found} == {
        "numpy": {"t": 0, "f": 0, "g": 0},
        "sympy": {"t": 1},
        "torch": {"t": 0},
    }


def test_the_one_library_that_explains_all_is_named_first() -> None:
    """TensorFlow's cells moved: its new version goes with that, not another kernel or torch."""
    after = one_side(torch="2", tensorflow="2")
    after.facts["host"].update(kernel="7")
    found = changes(one_side(), after, CELLS)
    states = [State.EQUAL, State.MOVED, State.MOVED]
    cells = attributed([told(c, s) for c, s in zip(CELLS, states, strict=True)], found)
    assert cells[0].goes_with == ()
    for cell in cells[1:]:
        best = cell.goes_with[0]
        assert (best.sentence, best.moved, best.stayed) == ("package tensorflow: 1 -> 2", 2, 0)
        assert cell.goes_with[1].sentence == "system kernel: 6 -> 7"
        assert cell.goes_with[1].stayed == 1


def test_the_nearer_package_comes_first() -> None:
    """Of two that reach the same cells, the one that the program imports itself."""
    found = changes(one_side(), one_side(sympy="2", torch="2"), CELLS)
    [cell, *_] = attributed([told(CELLS[0], State.MOVED)], found)
    assert [one.sentence for one in cell.goes_with] == [
        "package torch: 1 -> 2", "package sympy: 1 -> 2"
    ]  # fmt: skip


def test_what_an_audit_has_shown_comes_first() -> None:
    """Two things changed; the audit saw the cell move on an emulated CPU: the CPU is named."""
    after = one_side(torch="2")
    after.facts["host"].update(cpu="B")
    found = changes(one_side(), after, CELLS)
    cell = told(CELLS[0], State.MOVED)
    [unaware] = attributed([cell], found)
    assert unaware.goes_with[0].kind == "package"
    [aware] = attributed([cell], found, {"t": ("cpu-haswell", "threads")})
    assert aware.goes_with[0].kind == "cpu"
    assert aware.goes_with[0].known == ("cpu-haswell", "threads")


def test_another_file_of_the_same_version_is_a_difference() -> None:
    """A wheel that was built again is another wheel."""
    after = one_side()
    pin = Pin(name="numpy", version="1", hashes=("other",))
    after = replace(after, pins={"old-cpu": {**after.pins["old-cpu"], "numpy": pin}})
    [change] = changes(one_side(), after, CELLS)
    assert change.sentence == "package numpy: 1 (another file) -> 1 (another file)"


@pytest.mark.parametrize(
    ("where", "what", "kind"),
    [
        ("host", {"cpu": "B"}, "cpu"),
        ("host", {"gpus": [{"name": "X", "driver": "1"}]}, "gpu"),
        ("engine", {"name": "docker"}, "engine"),
        ("project", {"commit": "d"}, "project"),
    ],
)
def test_hardware_engine_and_project_are_compared(where: str, what: dict, kind: str) -> None:
    """Whatever is recorded of a run and differs is told, and reaches every cell."""
    after = one_side()
    after.facts[where].update(what)
    [change] = changes(one_side(), after, CELLS)
    assert change.kind == kind
    assert set(change.cells) == {"t", "f", "g"}


def test_seed_profile_variables_and_inputs_are_compared() -> None:
    """What a lab is fed with, and what holds the frameworks still."""
    after = one_side()
    after.facts["labs"]["train"].update(seed=1, files={"scenario.py": "x", "tf1.py": "y"})
    after.facts["stacks"]["old-cpu"] = {**STACK, "profiles": {"portable": {}}}
    found = {one.kind: one for one in changes(one_side(), after, CELLS)}
    assert found.keys() == {"seed", "inputs", "program", "variables"}
    assert set(found["inputs"].cells) == {"t", "f", "g"}
    assert set(found["program"].cells) == {"f"}
    assert found["variables"].sentence == "variables OMP_NUM_THREADS (old-cpu): 1 -> none"


def test_a_move_without_any_recorded_difference_is_said_to_be_one() -> None:
    """The sentence does not invent a cause."""
    found = Diff(before="a", after="b", cells=(told(CELLS[0], State.MOVED),), changes=())
    assert found.verdict == "1 cell moved, 0 equal; goes with: no recorded difference"


def test_names_of_a_stranger_s_bundle_are_escaped() -> None:
    """A bundle may come from anybody; its words are text, on a page and in a terminal."""
    hostile = replace(told(CELLS[0], State.MOVED), cell="<script>alert(1)</script>[red]\x1b[2J")
    found = Diff(before="a", after="b", cells=(hostile,), changes=())
    assert "<script>alert" not in outlook.to_html(found)
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(outlook.compared(found))
    said = console.export_text()
    assert "[red]" in said
    assert "\x1b[2J" not in said
