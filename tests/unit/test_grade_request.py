"""grade.request: what is refused before anything starts; no engine is asked."""

from pathlib import Path

import pytest
from grade_here import RIGHT
from typer.testing import CliRunner

from paritylab.cli import app as cli_app
from paritylab.cli.grade import _places
from paritylab.errors import SubmissionError, UsageError
from paritylab.grade.request import Request, perform
from paritylab.grade.run import Watch


@pytest.fixture
def request_of(project: Path, tmp_path: Path):
    """A request over one submission to the fixture's lab, which gets a rubric."""
    with (project / "labs/double/lab.toml").open("a") as file:
        file.write('\n[grading]\nimplementations = ["pytorch"]\nenvironment = "tiny"\nseeds = 2\n')
    source = project / "labs/double/pytorch.py"
    text = source.read_text().replace("    return {", "    # BEGIN SOLUTION\n    return {", 1)
    source.write_text(text + "    # END SOLUTION\n")
    folder = tmp_path / "submissions/amy"
    folder.mkdir(parents=True)
    (folder / "pytorch.py").write_text(RIGHT)

    def made(**more: object) -> Request:
        facts = {"path": folder.parent, "lab": "double", "out": tmp_path / "out", "root": project}
        return Request(**facts | more)  # type: ignore[arg-type]

    return made


@pytest.mark.parametrize("engine", ["venv", "here"])
def test_strangers_code_never_runs_with_your_rights(request_of, engine: str) -> None:
    """Only the sandbox runs submissions; the refusal says why and what to do."""
    with pytest.raises(UsageError, match=f"not run by the engine `{engine}`") as told:
        perform(request_of(engine=engine), Watch())
    assert "your own rights" in str(told.value)
    assert not request_of().out.exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"only": ("amyy",)}, "did you mean `amy`"),
        ({"regrade": ("nobody",)}, "no submission of `nobody`"),
        ({"implementations": ("tf2",)}, "tf2 is not graded in double"),
        ({"repeats": 0}, "--repeat 0"),
        ({"repeats": 101}, "--repeat 101"),
        ({"lab": "doubel"}, "did you mean `double`"),
    ],
)
def test_wrong_names_are_told_before_anything_starts(request_of, more: dict, says: str) -> None:
    """A misspelt student, program or lab costs a sentence, no container and no journal."""
    with pytest.raises(UsageError) as told:
        perform(request_of(**more), Watch())
    assert says in str(told.value)
    assert not request_of().out.exists()


def test_a_lab_without_a_rubric_cannot_be_graded(project: Path, tmp_path: Path) -> None:
    """It says which table is missing, and where."""
    made = Request(path=tmp_path, lab="double", out=tmp_path / "out", root=project)
    with pytest.raises(SubmissionError, match="no rubric") as told:
        perform(made, Watch())
    assert "labs/double/lab.toml: grading" in str(told.value)


def test_the_command_says_what_it_takes() -> None:
    """Every option of the brief is on the command line."""
    shown = CliRunner().invoke(cli_app.app, ["grade", "--help"], env={"COLUMNS": "200"}).output
    for option in (
        "--lab", "--out", "--isolation", "--runtime", "--jobs", "--seeds", "--repeat", "--reveal",
        "--resume", "--only", "--regrade", "--names", "--base", "--for",
    ):  # fmt: skip
        assert option in shown


def test_the_terminal_names_a_class_s_files_and_counts_those_of_its_students() -> None:
    """Three hundred students do not push the table of their grades off the screen."""
    students = [f"s{number:03}" for number in range(300)]
    files = [Path("grades/grades.csv"), Path("grades/index.html")]
    for one in students:
        files += [
            Path(f"grades/feedback/{one}.html"), Path(f"grades/gradescope/{one}/results.json")
        ]  # fmt: skip
    assert _places(tuple(files)) == [
        "grades/grades.csv", "grades/index.html",
        "grades/feedback/ (300 files)", "grades/gradescope/ (300 files)",
    ]  # fmt: skip
    assert _places(()) == []
