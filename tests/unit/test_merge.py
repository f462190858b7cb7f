"""merge, junit: any split's parts make the whole again; what does not fit is refused by name."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import cell, result

from paritylab import report
from paritylab.durations import Durations
from paritylab.errors import UsageError
from paritylab.junit import junit
from paritylab.merge import merge
from paritylab.model import IMPLEMENTATIONS, Cell, CellResult, Verdict
from paritylab.results import read
from paritylab.shards import parse, split

COMMIT = {"commit": "1" * 40, "dirty": False, "changes": None}
EVERY = [
    cell(f"lab{number}", implementation, where)
    for where in ("env-a", "env-b")
    for implementation in IMPLEMENTATIONS
    for number in range(3)
]
EVERY.insert(15, cell("lab9", "tf1", "env-b", "no sessions"))  # where the matrix has it


def told(one: Cell) -> CellResult:
    """A result that is the cell's own: no two are alike."""
    number = EVERY.index(one)
    verdict = Verdict.DIVERGED if number == 5 else None
    return result(one, seconds=number / 4, verdict=verdict)


def written(
    folder: Path, count: int, run: dict[str, Any] | None = None, setup: float = 0.0
) -> list[Path]:
    """The results.json of every shard of EVERY, as runs write them."""
    paths = []
    for shard in split(EVERY, count, Durations(setup=setup)):
        origin = {"project": COMMIT, "shard": shard.document()}
        facts = {"engine": "venv", "profile": "portable", "images": {}, **(run or {})}
        found = [told(one) for one in shard.cells]
        paths.append(folder / f"part-{shard.number}.json")
        report.write_json(paths[-1], report.document(found, shard.cells, facts, origin))
    return paths


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Write a results.json again with one thing changed."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@given(st.data(), st.integers(1, 18), st.sampled_from([0.0, 60.0]))
@settings(max_examples=25, deadline=None)
def test_the_parts_of_any_split_make_the_whole_in_any_order(
    data: st.DataObject, count: int, setup: float
) -> None:
    """Cells, verdicts, seconds and environments are those of a run in one piece."""
    with tempfile.TemporaryDirectory() as name:
        paths = written(Path(name), count, setup=setup)
        merged = merge(data.draw(st.permutations(paths)))
        again = merge(paths)
    assert merged.document == again.document
    assert merged.cells == tuple(told(one) for one in EVERY)
    whole = report.document([told(one) for one in EVERY], EVERY, {})
    assert merged.document["environments"] == whole["environments"]
    assert merged.document["project"] == COMMIT


def test_a_merged_file_is_a_results_json_like_any_other(tmp_path: Path) -> None:
    """`report`, `plot`, `site` and a balance by it read what merge wrote."""
    merged = merge(written(tmp_path, 4))
    report.write_json(tmp_path / "all.json", merged.document)
    found = read(tmp_path / "all.json")
    assert found.cells == merged.cells
    assert found.run["engine"] == "venv"
    assert not found.shard
    with pytest.raises(UsageError, match=r"all\.json is no shard"):
        merge([tmp_path / "all.json"])


def _set(*keys: str | int, to: object) -> Callable[[dict[str, Any]], object]:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("project", "commit", to="2" * 40), r"shards of different commits.*part-2\.json: 222"),
        (_set("project", "changes", to="ab"), r"different uncommitted changes.*part-2\.json: ab"),
        (_set("project", "commit", to=None), r"nobody can tell the commit of .*part-2\.json"),
        (_set("project", to={}), r"nobody can tell the commit of .*part-2\.json"),
        (_set("paritylab", to="9.9"), r"different versions of paritylab.*part-2\.json: 9\.9"),
        (_set("run", "profile", to="native"), r"ran with different `profile`.*part-2\.json: nat"),
        (_set("run", "seed", to=7), r"ran with different `seed`.*part-2\.json: 7"),
        (_set("run", "new", to=True), r"ran with different `new`.*part-2\.json: True"),
        (_set("shard", "split", to="f" * 64), r"different splits.*part-2\.json: 2/3 of split ffff"),
        (_set("shard", "of", to=4), r"shards of different splits.*2/4 of split"),
        (_set("shard", "number", to=1), r"shard 1/3 is there 2 times.*part-1\.json.*part-2\.json"),
        (_set("shard", "number", to=0), r"part-2\.json: shard\.number"),
        (_set("shard", "number", to=4), r"part-2\.json: shard: .*no shard 4/3"),
        (_set("shard", "of", to=10**10), r"part-2\.json: shard\.of"),
        (_set("shard", to={}), r"part-2\.json is no shard"),
        (_set("shard", to=[]), r"part-2\.json is no results\.json"),
        (_set("schema_version", to=2), r"part-2\.json.*schema_version is 2"),
        (
            _set("environments", 0, "lock", to="other"),
            r"different locks of env-a-cpu.*part-2\.json: other",
        ),
        (
            lambda data: (data["cells"].pop(0), data["run"].update(partial="5 of 6 cells")),
            r"part-2\.json lacks 1 of its cells: lab\d-\w+@env-\w-cpu",
        ),
        (
            lambda data: data["cells"].append(data["cells"][0]),
            r"part-2\.json holds twice 1 of its cells: lab\d-",
        ),
        (
            lambda data: data["shard"]["cells"].pop(0),
            r"part-2\.json holds, but should not, 1 of its cells: lab\d-",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_value(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    """A merged report never mixes commits, locks, settings or splits, and never lacks a cell."""
    paths = written(tmp_path, 3)
    changed(paths[1], change)
    with pytest.raises(UsageError, match=f"(?s){said}") as fault:
        merge(paths)
    assert fault.value.exit_code == 2
    assert fault.value.fix


def test_missing_and_doubled_shards_are_named(tmp_path: Path) -> None:
    """The reader learns which job to run again."""
    paths = written(tmp_path, 5)
    with pytest.raises(UsageError, match="2 of 5 shards are missing: 2/5, 4/5") as fault:
        merge([paths[0], paths[2], paths[4]])
    assert "--shard 2/5" in str(fault.value)
    with pytest.raises(UsageError, match="shard 3/5 is there 2 times"):
        merge([*paths, paths[2]])
    with pytest.raises(UsageError, match="nothing to merge"):
        merge([])


def test_a_count_that_no_run_can_have_is_refused_before_it_is_counted(tmp_path: Path) -> None:
    """A forged file names a shard of ten thousand million; memory is not filled with the rest."""
    (path,) = written(tmp_path, 1)
    assert parse("1/99999") == (1, 99_999)
    with pytest.raises(UsageError, match="is no shard"):
        parse("1/100000")
    changed(path, _set("shard", "of", to=99_999))
    with pytest.raises(UsageError, match="99998 of 99999 shards are missing"):
        merge([path])
    changed(path, _set("shard", "of", to=100_000))
    with pytest.raises(UsageError, match=r"part-1\.json: shard\.of.*\n.*less than or equal"):
        merge([path])


def test_two_shards_that_claim_the_same_cell_are_refused(tmp_path: Path) -> None:
    """A forged or mixed-up plan: a cell counts once."""
    paths = written(tmp_path, 2)
    stolen = json.loads(paths[0].read_text())
    cell_id, row = stolen["shard"]["cells"][0], stolen["cells"][0]
    changed(paths[1], lambda d: (d["shard"]["cells"].append(cell_id), d["cells"].append(row)))
    with pytest.raises(UsageError, match=rf"part-2\.json shares with .*part-1\.json.*{cell_id}"):
        merge(paths)


def test_hosts_and_images_of_all_shards_are_told(tmp_path: Path) -> None:
    """The merged report hides no difference of the machines; one of images is told."""
    paths = written(tmp_path, 2, run={"images": {"env-a-cpu": "sha256:1"}})
    changed(paths[1], _set("host", "cpu", to="another"))
    changed(paths[1], _set("run", "images", "env-a-cpu", to="sha256:2"))
    merged = merge(paths)
    assert "another" in merged.document["host"]["cpu"].split(" | ")
    assert len(merged.document["host"]["cpu"].split(" | ")) == 2
    assert merged.document["run"]["images"] == {"env-a-cpu": "sha256:1, sha256:2"}
    assert "env-a-cpu ran in 2 images" in merged.notes[0]
    assert [shard["number"] for shard in merged.document["shards"]] == [1, 2]


def test_what_a_clusters_hosts_answered_is_summed_over_the_shards(tmp_path: Path) -> None:
    """docs/scale.md cuts large runs into shards, a desk each; their hosts may be the same."""
    paths = written(tmp_path, 3, run={"hosts": {"node-1": 4, "node-2": 1}})
    changed(paths[1], _set("run", "hosts", to={"node-3": 2, "node-1": 3}))
    changed(paths[1], _set("run", "images", to={"env-a-cpu": "sha256:1, sha256:2"}))
    changed(paths[2], _set("run", "images", to={"env-a-cpu": "sha256:2"}))
    merged = merge(paths)
    assert merged.document["run"]["hosts"] == {"node-1": 11, "node-2": 2, "node-3": 2}
    assert merged.document["run"]["images"] == {"env-a-cpu": "sha256:1, sha256:2"}
    assert "env-a-cpu ran in 2 images" in merged.notes[0]
    assert "hosts" not in merge(written(tmp_path, 3)).document["run"]
    for strange in (["node-1"], {"node-1": "many"}, None):
        changed(paths[0], _set("run", "hosts", to=strange))
        assert not any(merge(paths).document["run"]["hosts"].values())


def test_a_whole_run_is_never_called_partial(tmp_path: Path) -> None:
    """No cell is missing, whatever a file says: pages and people would look for it."""
    paths = written(tmp_path, 3)
    changed(paths[0], _set("run", "partial", to="3 of 10 cells"))
    assert "partial" not in merge(paths).document["run"]


def test_junit_counts_what_ran_failed_and_was_left_out() -> None:
    """A CI system's numbers are the matrix's."""
    root = ElementTree.fromstringlist(junit([told(one) for one in EVERY], created="2026-01-01"))
    suite = root[0]
    assert {n: suite.get(n) for n in ("tests", "failures", "skipped", "errors")} == {
        "tests": "19",
        "failures": "1",
        "skipped": "1",
        "errors": "0",
    }
    (failed,) = [case for case in suite if case.find("failure") is not None]
    assert failed.get("name") == f"test_cell[{EVERY[5].id}]"


@given(st.text(), st.text())
@settings(max_examples=80, deadline=None)
def test_junit_is_xml_whatever_a_cell_printed(message: str, printed: str) -> None:
    """Control characters, surrogates and markup of a lab do not break the file."""
    one = result(EVERY[0], verdict=Verdict.FAILED)
    hostile = replace(one, message=message, stdout=printed)
    case = ElementTree.fromstringlist(junit([hostile], created=""))[0][0]
    assert case.find("failure") is not None
