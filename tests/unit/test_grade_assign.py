"""assign: what a student's folder holds, what it must not hold, and how it is read again."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

from paritylab import catalog
from paritylab.cli import main
from paritylab.digest import digest
from paritylab.errors import CatalogError, EngineError, LabError, SubmissionError, UsageError
from paritylab.grade import assign, assignment
from paritylab.grade.assign import Choice
from paritylab.grade.tasks import secrets
from paritylab.model import Lab
from paritylab.scenarios import solve

LOADED = catalog.load(PROJECT)
GRADED = [lab for lab in LOADED.labs.values() if lab.rubric and lab.slug != "image-classifier"]


def written(lab: Lab, folder: Path, **facts: object) -> Path:
    """The lab as a student's folder."""
    choice = Choice(implementations=assign.graded(lab, ()), seeds=1)
    choice = replace(choice, **facts)  # type: ignore[arg-type]
    assign.write(lab, assign.compose(lab, LOADED.environments, choice), choice, folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The smallest lab as a student's folder."""
    return written(LOADED.labs["multiply"], tmp_path / "work")


@pytest.mark.parametrize("lab", GRADED, ids=lambda lab: lab.slug)
def test_questions_come_back_as_they_were(lab: Lab, tmp_path: Path) -> None:
    """JSON and npz keep every input bit by bit, and every expected value."""
    read = assignment.read(written(lab, tmp_path / "work"))
    (question,) = read.questions
    problem = solve(lab, lab.seed + 1)
    assert question.seed == lab.seed + 1
    assert digest(question.inputs) == problem.inputs_digest
    assert [type(v) for v in question.inputs.values()] == [type(v) for v in problem.inputs.values()]
    for name in read.implementations:
        for output, value in problem.expected[name].items():
            np.testing.assert_array_equal(question.expected[name][output], value)
    assert read.lab.outputs == lab.outputs
    assert read.lab.rubric == lab.rubric
    assert read.lab.limits == lab.limits
    assert read.environment.name == "tf2"
    assert list(read.environment.stacks) == ["cpu"]


@pytest.mark.parametrize("lab", GRADED, ids=lambda lab: lab.slug)
def test_nothing_of_the_solution_or_the_oracle_travels(lab: Lab, tmp_path: Path) -> None:
    """A student's folder is searched for what must have stayed at home."""
    place = written(lab, tmp_path / "work")
    names = {path.name for path in place.rglob("*")}
    assert not names & {"scenario.py", "expected.json", "mutants.toml", "lab.toml"}
    code = (line.strip() for line in lab.scenario.read_text().splitlines())
    oracle = {line for line in code if len(line) > 30 and line[0] not in "\"'#"}
    document = json.loads((place / "checks/assignment.json").read_text())
    assert str(PROJECT) not in json.dumps(document)
    del document["questions"]  # what a program is given may be text or itself a program
    text = (place / "TASK.md").read_text() + json.dumps(document)
    assert not [line for line in oracle if line in text]
    assert "claims" not in document["lab"]
    bare = "".join(json.dumps(document).split())
    assert not [line for line in secrets(lab, assign.graded(lab, ())) if line in bare]


def test_the_same_lab_gives_the_same_bytes(tmp_path: Path) -> None:
    """Handing out twice, or from two machines, is handing out the same."""
    lab = LOADED.labs["train"]
    one, two = (written(lab, tmp_path / name, notebook=True) for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file


def test_the_environment_is_the_locks(folder: Path) -> None:
    """What pip and a development container install is what grading runs."""
    lock = LOADED.environments["tf2"].stacks["cpu"].lock.read_text()
    requirements = (folder / "requirements.txt").read_text()
    assert requirements.endswith(lock)
    assert re.findall(r"^--extra-index-url (.*)$", requirements, re.MULTILINE) == [
        "https://download.pytorch.org/whl/cpu"
    ]
    container = json.loads((folder / ".devcontainer/devcontainer.json").read_text())
    assert re.fullmatch(r"python:3\.11-[a-z-]+@sha256:[0-9a-f]{64}", container["image"])
    assert "--require-hashes -r requirements.txt" in container["postCreateCommand"]
    assert "pip install paritylab" in container["postCreateCommand"]


def test_public_inputs_are_plain_arrays(folder: Path) -> None:
    """A student can open them with nothing but NumPy."""
    with np.load(folder / "checks/seed-1.npz", allow_pickle=False) as stored:
        assert {stored[name].dtype.kind for name in stored.files} <= set("fiub")


def test_nothing_is_written_over(folder: Path) -> None:
    """A student's or an instructor's work survives a second `assign`."""
    with pytest.raises(UsageError, match="is there already"):
        written(LOADED.labs["multiply"], folder)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an assignment is worse than none."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(assignment, "write", full)
    with pytest.raises(OSError, match="No space"):
        written(LOADED.labs["multiply"], tmp_path / "work")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_graded_cannot_be_set() -> None:
    """Labs whose answers are facts about versions have no rubric; a name may be misspelt."""
    with pytest.raises(CatalogError, match="cannot be set as an assignment"):
        assign.graded(LOADED.labs["api-drift"], ())
    with pytest.raises(UsageError, match="not graded in `tf3`") as caught:
        assign.graded(LOADED.labs["train"], ("tf3",))
    assert "did you mean" in str(caught.value)


def test_a_lab_without_markers_cannot_be_set(tmp_path: Path) -> None:
    """A rubric alone would hand out the solution."""
    lab = LOADED.labs["train"]
    bare = tmp_path / "pytorch.py"
    bare.write_text("def run(inputs, workdir):\n    return {}\n")
    one = replace(lab.implementations["pytorch"], source=bare)
    lab = replace(lab, implementations={**lab.implementations, "pytorch": one})
    with pytest.raises(CatalogError, match="holds no solution markers"):
        assign.graded(lab, ("pytorch",))


def edited(folder: Path, change: dict[str, object]) -> None:
    """Change keys of assignment.json."""
    path = folder / "checks/assignment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def test_a_damaged_folder_is_told_with_file_and_key(folder: Path) -> None:
    """Whatever a student deleted or edited is an error in words."""
    with pytest.raises(SubmissionError, match="is no assignment"):
        assignment.read(folder / "checks")
    edited(folder, {"schema_version": 2})
    with pytest.raises(CatalogError, match=r"assignment\.json: schema_version"):
        assignment.read(folder)
    edited(folder, {"schema_version": 1, "sedes": 1})
    with pytest.raises(CatalogError, match=r"assignment\.json: sedes: unknown key"):
        assignment.read(folder)
    (folder / "checks/assignment.json").write_text("{")
    with pytest.raises(SubmissionError, match="cannot be read"):
        assignment.read(folder)


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 100, None], ids=str)
def test_damaged_arrays_are_told(folder: Path, content: bytes | None) -> None:
    """The npz file may be gone, cut off or of another kind."""
    path = folder / "checks/seed-1.npz"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(LabError, match=r"seed-1\.npz") as caught:
        assignment.read(folder)
    assert caught.value.exit_code == 2


def test_pickled_arrays_are_refused(folder: Path) -> None:
    """Nothing in a folder that travels is ever unpickled."""
    path = folder / "checks/seed-1.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(path, **{**arrays, "input-0": np.array([{}], dtype=object)})
    with pytest.raises(SubmissionError, match="cannot be read"):
        assignment.read(folder)


def test_an_array_file_cannot_be_elsewhere(folder: Path) -> None:
    """The name of an array file is no path."""
    document = json.loads((folder / "checks/assignment.json").read_text())
    document["questions"][0]["arrays"] = "../../seed-1.npz"
    edited(folder, document)
    with pytest.raises(CatalogError, match=r"questions\.0\.arrays"):
        assignment.read(folder)


def test_some_of_the_files_can_be_checked(folder: Path) -> None:
    """`paritylab check --for tf2` looks at one file."""
    read = assignment.read(folder)
    assert assignment.narrowed(read, ("tf2",)).implementations == ("tf2",)
    assert assignment.narrowed(read, ()).implementations == read.implementations
    with pytest.raises(UsageError, match="has no `tf"):
        assignment.narrowed(read, ("tf",))


def test_here_must_have_the_frameworks(folder: Path) -> None:
    """--engine here without the framework is trouble with the engine, told before anything runs."""
    read = assignment.narrowed(assignment.read(folder), ("tf2",))
    gone = replace(read.environment.support["tf2"], unsupported="tensorflow is not installed")
    support = {**read.environment.support, "tf2": gone}
    with pytest.raises(EngineError, match="tf2 cannot run here: tensorflow is not installed"):
        assignment.elsewhere(read, replace(read.environment, support=support))


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    """Exit code and everything that a command of the real project said."""
    monkeypatch.setenv("PARITYLAB_ROOT", str(PROJECT))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["paritylab", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    streams = capsys.readouterr()
    return int(end.value.code or 0), streams.out + streams.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["assign", "api-drift"], "cannot be set as an assignment"),
        (["assign", "trian"], "did you mean `train`?"),
        (["assign", "train", "--for", "tf3"], "not graded in `tf3`"),
        (["assign", "train", "--engine", "dockr"], "did you mean `docker`?"),
        (["check", "nowhere"], "nowhere is no assignment"),
        (["submissions", "nowhere", "--lab", "train"], "nowhere is no folder"),
        (["submissions", ".", "--lab", "train", "--late-after", "soon"], "no ISO 8601 time"),
    ],
)
def test_wrong_arguments_exit_with_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    """Before anything is started, with what to type instead."""
    code, text = said(monkeypatch, capsys, *arguments)
    assert code == 2
    assert told in text


def test_submissions_are_shown_with_the_rules(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What grading will make of a folder can be seen before it; a fault is exit code 1."""
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada/pytorch.py").write_text("x = 1\n")
    command = ["submissions", str(tmp_path), "--lab", "train", "--for"]
    code, text = said(monkeypatch, capsys, *command, "pytorch")
    assert code == 0
    assert "the last one counts" in text
    code, text = said(monkeypatch, capsys, *command, "pytorch,tf2")
    assert code == 1
    assert "tf2.py (or .ipynb) is missing" in text
