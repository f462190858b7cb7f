"""The package as it is installed: complete without its checkout; a course that works at once."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT
from hatchling.builders.wheel import WheelBuilder

from paritylab import catalog, scenarios, shipped
from paritylab.cli import app
from paritylab.errors import UsageError
from paritylab.matrix import Selection, cells
from paritylab.scaffold import new_course

Paritylab = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    [built] = WheelBuilder(str(PROJECT)).build(
        directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"]
    )
    return Path(built)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Paritylab:
    """Runs the wheel's command line, far from the checkout."""
    place = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)

    def run(*arguments: str, folder: Path = place) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "paritylab", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(place), "NO_COLOR": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_wheel_holds_what_runs_need_outside_a_checkout(wheel: Path) -> None:
    """Recipes of images, environments and the matrix's tests: byte for byte those of the tree."""
    with zipfile.ZipFile(wheel) as archive:
        for folder in ("docker", "environments", "tests/labs"):
            files = [f for f in (PROJECT / folder).rglob("*") if f.is_file() and f.suffix != ".pyc"]
            assert files
            for file in files:
                packed = f"paritylab/_shipped/{file.relative_to(PROJECT)}"
                assert archive.read(packed) == file.read_bytes(), packed


def test_an_installed_package_makes_and_reads_a_course(
    installed: Paritylab, tmp_path: Path
) -> None:
    """`new-course`, then `list --labs PATH` from anywhere: no file of the checkout is needed."""
    made = installed("new-course", str(tmp_path / "course"), "--environment", "tf2")
    assert made.returncode == 0, made.stderr
    for arguments in (
        ("list", "--labs", str(tmp_path / "course")),
        ("--labs", str(tmp_path / "course"), "list"),
        ("list", f"--labs={tmp_path / 'course'}"),
    ):
        done = installed(*arguments)
        assert done.returncode == 0, done.stderr
        assert "first-lab" in done.stdout
        assert "tf1-compat" not in done.stdout


def test_outside_a_project_the_way_in_is_told(installed: Paritylab) -> None:
    """The error names the option and the command that begins a course."""
    done = installed("list")
    assert done.returncode == 2
    assert "--labs PATH" in done.stderr
    assert "paritylab new-course PATH" in done.stderr.replace("\n", " ").replace("  ", " ")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["run", "--labs", "p", "-j", "2"], ["--labs", "p", "run", "-j", "2"]),
        (["--labs=p", "run"], ["--labs=p", "run"]),
        (["run", "--lab", "x"], ["run", "--lab", "x"]),
        (["run", "--", "--labs", "p"], ["run", "--", "--labs", "p"]),
        (["run", "--labs"], ["--labs", "run"]),
        ([], []),
    ],
)
def test_labs_may_stand_anywhere(line: list[str], expected: list[str]) -> None:
    """Only the option moves, and nothing after `--` does."""
    assert app.hoisted(line) == expected


def test_a_course_is_complete(tmp_path: Path) -> None:
    """Its lab loads, its expected values are the oracle's, every cell of it can run."""
    folder = new_course(tmp_path / "deep-learning")
    loaded = catalog.load(folder)
    assert list(loaded.labs) == ["first-lab"]
    assert set(loaded.environments) == set(catalog.load(PROJECT).environments)
    problem = scenarios.solve(loaded.labs["first-lab"], 0)
    assert problem.expected
    assert loaded.labs["first-lab"].expected.is_file()
    rubric = loaded.labs["first-lab"].rubric
    assert rubric is not None
    assert (rubric.environment, len(rubric.implementations)) == ("tf2", 3)
    runs = [cell for cell in cells(loaded, Selection()) if not cell.unsupported]
    assert len(runs) == 8
    assert "# deep-learning" in (folder / "README.md").read_text()
    assert not [p for p in tmp_path.iterdir() if p != folder]


def test_a_courses_front_door_and_ci_name_sessions_that_exist(tmp_path: Path) -> None:
    """noxfile.py is valid, and the workflow and README call what it defines."""
    folder = new_course(tmp_path / "course", ["tf2"])
    tree = ast.parse((folder / "noxfile.py").read_text())
    sessions = {
        node.name.replace("_", "-")
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    workflow = (folder / ".github/workflows/labs.yml").read_text()
    assert "labs" in yaml.safe_load(workflow)["jobs"]
    for text in (workflow, (folder / "README.md").read_text()):
        named = [part.split()[0].strip("`") for part in text.split("nox -s ")[1:]]
        assert named
        assert set(named) <= sessions


@pytest.mark.parametrize("name", ["tf3", ""])
def test_an_unknown_environment_leaves_nothing(name: str, tmp_path: Path) -> None:
    """The nearest name is told, no folder is made."""
    with pytest.raises(UsageError, match="unknown environment"):
        new_course(tmp_path / "course", [name])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_as_it_is(tmp_path: Path) -> None:
    """Nobody's files are mixed with a template."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        new_course(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_projects_own_recipes_come_first(tmp_path: Path) -> None:
    """A course may change how its images are made; without a docker/ it gets ours."""
    assert shipped.recipes(tmp_path) == PROJECT / "docker"
    own = tmp_path / "docker"
    own.mkdir()
    (own / "install.sh").write_text("")
    assert shipped.recipes(tmp_path) == own


def test_every_shipped_folder_is_declared_for_the_wheel() -> None:
    """`shipped()` and pyproject.toml name the same folders."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    forced = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {name: f"paritylab/_shipped/{name}" for name in forced} == forced
    for name in forced:
        assert shipped.shipped(name) == PROJECT / name
