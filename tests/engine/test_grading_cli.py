"""`paritylab grade` as a process on the real engine: killed, interrupted, resumed."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from docker import from_env

from paritylab.imagefacts import KIND
from paritylab.journal import Journal

pytestmark = [pytest.mark.docker, pytest.mark.frameworks]
PROJECT = Path(__file__).parent.parent.parent
RIGHT = (
    "import time\n\n\ndef run(inputs, workdir):\n    time.sleep(0.3)\n"
    "    return {'doubled': inputs['x'] * 2, 'rounds': inputs['rounds'], 'style': 'eager'}\n"
)
STUDENTS = 6
SEEDS = 2


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A project with the fixture's lab graded in a real environment, and six submissions."""
    shutil.copytree(PROJECT / "tests/fixtures/valid/labs", tmp_path / "labs")
    for name in ("environments", "docker"):
        (tmp_path / name).symlink_to(PROJECT / name)
    with (tmp_path / "labs/double/lab.toml").open("a") as file:
        file.write(
            f'\n[grading]\nimplementations = ["pytorch"]\nenvironment = "tf2"\nseeds = {SEEDS}\n'
        )
    source = tmp_path / "labs/double/pytorch.py"
    source.write_text(
        source.read_text().replace("    return {\n", "    # BEGIN SOLUTION\n    return {\n", 1)
        + "    # END SOLUTION\n"
    )
    for number in range(STUDENTS):
        folder = tmp_path / "submissions" / f"s{number}"
        folder.mkdir(parents=True)
        (folder / "pytorch.py").write_text(RIGHT)
    return tmp_path


def start(course: Path, *more: str) -> subprocess.Popen[str]:
    """The command, as a process in the foreground would run."""
    command = [sys.executable, "-m", "paritylab", "grade", "submissions", "--lab", "double"]
    return subprocess.Popen(
        [*command, "--out", "grades", "--base", "bootstrap", *more],
        cwd=course, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PARITYLAB_ROOT": str(course)},
    )  # fmt: skip


def finish(course: Path, *more: str) -> str:
    """Run to the end, which must be well; return what it said."""
    process = start(course, *more)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


def containers(pid: int) -> list[Any]:
    """The containers of the run with this process number."""
    label = f"paritylab.pid={pid}"
    client = from_env()
    # Sparse: without a second look at one that is just going.
    chosen = {"label": [f"{KIND}=run", label]}
    return client.containers.list(all=True, sparse=True, filters=chosen)


def committing(pages: Path) -> bool:
    """Whether SQLite would roll back what the file holds beyond its last transaction.

    Until a transaction is committed, the journal beside the file begins with these bytes
    (https://www.sqlite.org/fileformat2.html#the_rollback_journal); then its header is cleared.
    """
    journal = pages.with_name(pages.name + "-journal")
    return journal.exists() and journal.read_bytes()[:8] == bytes.fromhex("d9d505f920a163d7")


def recorded(course: Path) -> int:
    """How many trials a running command has committed: its file, read beside it, is locked."""
    pages = course / "grades/journal.sqlite"
    if not pages.exists() or committing(pages):
        return 0
    try:
        with closing(sqlite3.connect(f"file:{pages}?immutable=1", uri=True)) as connection:
            count: int = connection.execute("SELECT count(*) FROM units").fetchone()[0]
    except sqlite3.Error:  # a transaction began meanwhile
        return 0
    return 0 if committing(pages) else count


def wait_for(course: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many trials are on the disk."""
    deadline = time.monotonic() + 200
    while recorded(course) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def nothing_runs(pid: int) -> None:
    """Within seconds no container of the process is there."""
    deadline = time.monotonic() + 20
    while left := containers(pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def scores(course: Path) -> list[float]:
    """Everybody's score, from the grade book."""
    return [
        one["score"] for one in json.loads((course / "grades/grades.json").read_text())["grades"]
    ]


@pytest.mark.parametrize("isolation", ["container", "fork"])
def test_killed_and_resumed(course: Path, isolation: str) -> None:
    """kill -9: its containers end by themselves, nothing is lost, the rest is graded."""
    process = start(course, "--isolation", isolation)
    wait_for(course, 3, process)
    process.kill()
    process.communicate()
    nothing_runs(process.pid)
    with Journal(course / "grades/journal.sqlite", kind="grade", facts=None, resume=True) as kept:
        done, seeds = kept.done(), kept.facts["seeds"]
    assert 3 <= len(done) < STUDENTS * SEEDS
    finish(course, "--isolation", isolation, "--resume")
    assert scores(course) == [3.0] * STUDENTS
    with Journal(course / "grades/journal.sqlite", kind="grade", facts=None, resume=True) as kept:
        assert kept.facts["seeds"] == seeds
        assert kept.done().items() >= done.items()
        assert len(kept.done()) == STUDENTS * SEEDS


def test_interrupted_and_resumed(course: Path) -> None:
    """Ctrl-C: exit 130, no container, a gradebook of what there is, and --resume goes on."""
    process = start(course)
    wait_for(course, 3, process)
    assert containers(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert containers(process.pid) == []
    partial = scores(course)
    assert len(partial) == STUDENTS
    assert 0 < sum(partial) < 3.0 * STUDENTS
    refused = start(course)
    _, errors = refused.communicate(timeout=60)
    assert (refused.returncode, "--resume" in errors) == (2, True)
    finish(course, "--resume")
    assert scores(course) == [3.0] * STUDENTS


def test_only_and_regrade(course: Path) -> None:
    """One student first, the others later, one again: each trial as often as was asked for."""
    finish(course, "--only", "s1", "--seeds", "5,6")
    assert scores(course) == [3.0]
    (course / "submissions/s1/pytorch.py").write_text(RIGHT.replace("inputs['rounds']", "0"))
    finish(course, "--regrade", "s1", "--only", "s1", "--only", "s2")
    assert scores(course) == [2.0, 3.0]
    unknown = start(course, "--only", "s9", "--resume")
    _, errors = unknown.communicate(timeout=60)
    assert (unknown.returncode, "did you mean" in errors) == (2, True)
