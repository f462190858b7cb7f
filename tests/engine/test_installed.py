"""The wheel as people install it with uvx, far from any checkout; a course's labs by `--labs`.

Needs a package index, which pip's own settings lead to.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from paritylab import hostpip
from paritylab.interpreters import uv_command

PROJECT = Path(__file__).parent.parent.parent
NO_INDEX = ("error sending request", "Failed to fetch", "dns error", "tcp connect error")
Paritylab = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.index


@pytest.fixture(scope="module")
def paritylab(tmp_path_factory: pytest.TempPathFactory) -> Paritylab:
    """`uvx --from WHEEL paritylab`, in a folder of its own; nothing leads to the checkout."""
    builder = WheelBuilder(str(PROJECT))
    dist = tmp_path_factory.mktemp("dist")
    [wheel] = builder.build(directory=str(dist), versions=["standard"])
    argv = [uv_command(), "tool", "run", "--python", sys.executable, "--from", str(wheel)]
    variables = hostpip.uv_environment(hostpip.settings())
    for name in ("PYTHONPATH", "PARITYLAB_ROOT", "VIRTUAL_ENV"):
        variables.pop(name, None)

    def run(*arguments: str, folder: Path = dist) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*argv, "paritylab", *arguments],
            cwd=folder,
            env={**variables, "NO_COLOR": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if any(words in done.stderr for words in NO_INDEX):
            pytest.skip(f"no package index answers: {done.stderr[-300:]}")
        return done

    return run


@pytest.fixture(scope="module")
def course(paritylab: Paritylab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course's own repository, made by the installed command."""
    folder = tmp_path_factory.mktemp("courses") / "deep learning"  # people put spaces into names
    made = paritylab("new-course", str(folder), "--environment", "tf2")
    assert made.returncode == 0, made.stderr
    return folder


def ok(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that ended well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_only_reads_works_by_path_and_inside(
    paritylab: Paritylab, course: Path, tmp_path: Path
) -> None:
    """The same answers from anywhere with `--labs PATH` and from within the repository."""
    for arguments in (
        ("list",),
        ("matrix", "--json"),
        ("audit", "--list"),
        ("show", "first-lab"),
        ("claims",),
    ):
        there = ok(paritylab(*arguments, "--labs", str(course), folder=tmp_path))
        assert there == ok(paritylab(*arguments, folder=course / "labs"))
    told = json.loads(ok(paritylab("doctor", "--json", folder=course)))
    assert {line["status"] for line in told} <= {"ok", "optional"}
    assert paritylab("list", folder=tmp_path).returncode == 2


@pytest.mark.frameworks
def test_a_course_runs_reports_and_assigns(
    paritylab: Paritylab, course: Path, tmp_path: Path
) -> None:
    """Cells in the pinned environment, a page and pictures of them, a student's folder."""
    run = ("run", "--implementation", "pytorch", "--results", str(tmp_path / "r.json"))
    assert "1 close" in ok(paritylab(*run, "--labs", str(course), folder=tmp_path))
    page = tmp_path / "r.html"
    ok(paritylab("report", str(tmp_path / "r.json"), "--html", str(page), folder=tmp_path))
    assert "first-lab" in page.read_text()
    ok(paritylab("plot", str(tmp_path / "r.json"), "--labs", str(course), folder=tmp_path))
    target = tmp_path / "assignment"
    told = ok(
        paritylab(
            "assign", "first-lab", "--for", "pytorch", "--out", str(target),
            "--labs", str(course), folder=tmp_path,
        )
    )  # fmt: skip
    assert "model solution: every point; starter: none" in told
    # The starter is no solution: not every point, and not an error either.
    assert paritylab("check", str(target), folder=tmp_path).returncode == 1
