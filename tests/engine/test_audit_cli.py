"""`paritylab audit` as people type it: exit codes, Ctrl-C, resume; on a stand-in for PyTorch."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paritylab.audit.conduct import DOCUMENT
from paritylab.audit.model import Tier, from_json

FIXTURES = Path(__file__).parent.parent / "fixtures"
QUICK = ("--variation", "repeat", "--variation", "home", "--variation", "time-zone")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the valid fixture project."""
    shutil.copytree(FIXTURES / "valid", tmp_path / "project")
    return tmp_path / "project"


def started(project: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command line in the project, on this interpreter."""
    return subprocess.Popen(
        [sys.executable, "-m", "paritylab", "audit", "--engine", "here", *arguments],
        cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={
            **os.environ, "PYTHONPATH": str(FIXTURES / "stand_in"),
            "PARITYLAB_CACHE": str(project.parent / "cache"), "COLUMNS": "200",
        },
    )  # fmt: skip


def run(project: Path, *arguments: str) -> tuple[int, str, str]:
    """Run to the end; return exit code and both streams."""
    process = started(project, *arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def edit(project: Path, old: str, new: str) -> None:
    """Change the lab's program."""
    source = project / "labs/double/pytorch.py"
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))


def test_a_clean_audit_exits_0_and_makes_room_for_the_next(project: Path) -> None:
    """The plan comes first, then the table; in reports/ a finished audit is replaced."""
    for _ in range(2):
        code, out, err = run(project, *QUICK)
        assert code == 0, err
        assert out.index("runs: 1 cell in ") < out.index("bitwise")
    assert (project / "reports/audit" / DOCUMENT).exists()


def test_a_broken_word_exits_1_with_its_cause(project: Path) -> None:
    """The sentence names what moved it."""
    edit(project, 'inputs["rounds"]', 'inputs["rounds"] + __import__("time").localtime(0).tm_hour')
    code, out, _ = run(project, *QUICK)
    assert code == 1
    assert "not reproducible" in out
    assert "changes with the time zone (TZ); first at `rounds`" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--variation", "treads"), "did you mean `threads`"),
        (("--lab", "dubble"), "did you mean `double`"),
        (("--repeats", "0"), "repeats"),
        (("--engine", "podman"), "unknown engine"),
    ],
)
def test_wrong_input_exits_2(project: Path, arguments: tuple[str, ...], words: str) -> None:
    """Before anything runs, with the nearest valid name."""
    code, _, err = run(project, *arguments)
    assert code == 2
    assert words in err


def test_another_folder_is_not_written_over(project: Path) -> None:
    """A folder that somebody named holds evidence: a second audit needs another one."""
    assert run(project, *QUICK, "--out", "mine")[0] == 0
    code, _, err = run(project, *QUICK, "--out", "mine")
    assert code == 2
    assert "--resume" in err


def test_ctrl_c_exits_130_and_resume_ends_what_was_begun(project: Path) -> None:
    """What was seen is told as partial; the rest runs later, and nothing runs twice."""
    edit(
        project,
        "def run(inputs, workdir):",
        "def run(inputs, workdir):\n    __import__('time').sleep(1)",
    )
    process = started(project, *QUICK, "--repeats", "8", "--jobs", "1", "--out", "mine")
    journal = project / "mine/audit.sqlite"
    deadline = time.monotonic() + 60
    while not (project / "mine/baselines").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "PARTIAL: interrupted" in out
    assert journal.exists()
    partial = from_json((project / "mine" / DOCUMENT).read_bytes())
    assert partial.partial
    code, out, err = run(project, *QUICK, "--repeats", "8", "--out", "mine", "--resume")
    assert code == 0, err
    whole = from_json((project / "mine" / DOCUMENT).read_bytes())
    assert whole.partial is None
    assert whole.cells[0].tier is Tier.BITWISE
    assert len(whole.observations) == whole.plan.runs
    assert set(map(repr, partial.observations)) <= set(map(repr, whole.observations))
