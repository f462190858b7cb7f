"""pytest_plugin: the matrix as tests; workers shared by processes, verdicts in every report."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from conftest import FIXTURES, PROJECT
from packages import make_wheel

from paritylab import catalog, locks, pytest_plugin
from paritylab.accept import accept
from paritylab.wheelhouse import sha256

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def labs(project: Path, tmp_path: Path) -> Path:
    """A project of two labs, `double` and `wrong`; the second answers with a wrong sign."""
    shutil.copy(FIXTURES / "stand_in/torch.py", tmp_path)
    shutil.copytree(project / "labs/double", project / "labs/wrong")
    for lab in catalog.load(project).labs.values():
        accept(lab, [], []).write()
    source = project / "labs/wrong/pytorch.py"
    source.write_text(source.read_text().replace("+", "-"))
    return project


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the matrix tests on a project as a user does."""
    narrowed = ("--engine", "here", "--implementation", "pytorch", "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", "pytest", str(PROJECT / "tests/labs"), *narrowed, *arguments],
        cwd=root,
        env={**os.environ, "PARITYLAB_ROOT": str(root), "PYTHONPATH": str(root.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("given", "kept"), [(None, 1), (8, 8)])
def test_processes_are_handed_one_cell_at_a_time(given: int | None, kept: int) -> None:
    """Else short cells wait behind a long one in one process, while another has nothing to do."""
    config = SimpleNamespace(option=SimpleNamespace(maxschedchunk=given))
    pytest_plugin.pytest_configure(config)
    assert config.option.maxschedchunk == kept


def test_what_took_longest_runs_first_and_is_told_in_its_place(labs: Path) -> None:
    """The order of a run is not that of its report."""
    rows = [
        {"cell": f"{lab}-pytorch@here-cpu", "lab": lab, "environment": "here", "seconds": seconds}
        for lab, seconds in (("double", 1), ("wrong", 2))
    ]
    (labs / "labs/durations.json").write_text(json.dumps({"schema_version": 1, "cells": rows}))
    done = run(labs, "-v", "-p", "no:xdist", f"--results={labs}/r.json")
    assert done.stdout.index("wrong-pytorch") < done.stdout.index("double-pytorch"), done.stdout
    cells = [one["lab"] for one in json.loads((labs / "r.json").read_text())["cells"]]
    assert cells == ["double", "wrong"]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_red_and_green_cells_are_told_everywhere(labs: Path, processes: str) -> None:
    """Terminal, JUnit XML and results.json agree, with and without xdist; red exits with 1."""
    files = [f"--results={labs}/r.json", f"--junitxml={labs}/r.xml"]
    done = run(labs, "-v", "-n", processes, *files)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 cells: 1 close, 1 diverged" in done.stdout
    assert "doubled[0]: expected" in done.stdout
    cells = {c["cell"]: c for c in json.loads((labs / "r.json").read_text())["cells"]}
    assert cells["double-pytorch@here-cpu"]["verdict"] == "close"
    assert cells["wrong-pytorch@here-cpu"]["divergences"][0]["output"] == "doubled"
    suite = ElementTree.parse(labs / "r.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    digests = [p.get("value") for p in suite.iter("property") if p.get("name") == "digest"]
    assert cells["double-pytorch@here-cpu"]["digest"] in digests


def test_cells_are_chosen_as_tests_are(labs: Path) -> None:
    """-k, an expression of pytest's, narrows by any part of a cell's name; nothing runs to list."""
    narrowed = run(labs, "-k", "double and not wrong")
    assert "1 cell: 1 close" in narrowed.stdout, narrowed.stdout + narrowed.stderr
    assert "1 passed, 1 deselected" in narrowed.stdout
    listed = run(labs, "--collect-only", "-q").stdout
    names = [line.partition("::")[2] for line in listed.splitlines() if "::" in line]
    assert names == ["test_cell[double-pytorch@here-cpu]", "test_cell[wrong-pytorch@here-cpu]"]


def test_a_fault_of_ours_is_told_from_the_tests_body_on(labs: Path) -> None:
    """A traceback has our frames and none of pytest's; --tb is obeyed."""
    (labs.parent / "planted.py").write_text(
        "from paritylab.runner import Runner\n"
        "def timed(self, cell):\n    raise RuntimeError(f'planted for {cell.id}')\n"
        "Runner.timed = timed\n"
    )
    long = run(labs, "-p", "planted", "--lab", "double").stdout
    assert "RuntimeError: planted for double-pytorch@here-cpu" in long
    assert "def test_cell(" in long
    assert "pluggy" not in long.partition("FAILURES")[2]
    short = run(labs, "-p", "planted", "--lab", "double", "--tb", "line").stdout
    assert "RuntimeError: planted for double-pytorch@here-cpu" in short
    assert "def test_cell(" not in short


def test_what_hardly_any_cell_has_is_made_when_it_is_asked_for(labs: Path) -> None:
    """Ten thousand empty lists and sets are 4 MiB; markers, keywords and properties still work."""
    (labs.parent / "asking.py").write_text(
        "import pytest\n"
        "def pytest_collection_finish(session):\n"
        "    one, other = session.items\n"
        "    held = {'own_markers', 'extra_keyword_matches', 'user_properties'}\n"
        "    assert not held & set(one.__dict__)\n"
        "    one.add_marker('xfail')\n"
        "    one.extra_keyword_matches.add('word')\n"
        "    one.user_properties.append(('a', 1))\n"
        "    assert [mark.name for mark in one.iter_markers()] == ['xfail']\n"
        "    assert 'word' in one.listextrakeywords()\n"
        "    assert one.user_properties == [('a', 1)]\n"
        "    assert not list(other.iter_markers()) + other.user_properties\n"
        "    assert not other.listextrakeywords()\n"
        "    print('asked')\n"
    )
    done = run(labs, "-p", "asking", "--collect-only", "-q", "-s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "asked" in done.stdout


def test_one_process_writes_the_results(labs: Path) -> None:
    """Each xdist process has a part of the cells, which must not lie there as if it were all."""
    (labs.parent / "planted.py").write_text(
        "import os\nimport paritylab.pytest_plugin as ours\n"
        "def seen(function):\n"
        "    def called(*given, **named):\n"
        f"        with open({str(labs / 'pids')!r}, 'a') as file:\n"
        "            print(os.getpid(), function.__name__, file=file)\n"
        "        return function(*given, **named)\n"
        "    return called\n"
        "for name in ('check_writable', 'write_json', 'show'):\n"
        "    setattr(ours, name, seen(getattr(ours, name)))\n"
    )
    (labs / "r.json.partial").write_text("somebody's own")
    done = run(labs, "-n", "2", "-p", "planted", f"--results={labs}/r.json")
    assert done.returncode == 1, done.stdout + done.stderr
    calls = [line.split() for line in (labs / "pids").read_text().splitlines()]
    assert len({pid for pid, _ in calls}) == 1
    assert [name for _, name in calls] == ["check_writable", "show", "write_json"]
    assert (labs / "r.json.partial").read_text() == "somebody's own"
    assert "partial" not in json.loads((labs / "r.json").read_text())["run"]


def test_a_part_of_the_matrix_says_so(labs: Path) -> None:
    """A results.json of fewer cells than were chosen is told apart from a whole one."""
    run(labs, "-k", "double", f"--results={labs}/r.json")
    assert json.loads((labs / "r.json").read_text())["run"]["partial"] == "1 of 2 cells"


def test_xdist_processes_share_one_worker(labs: Path) -> None:
    """The framework is imported once per run, not once per process."""
    with (labs.parent / "torch.py").open("a") as stand_in:
        stand_in.write("\nopen(__file__ + '.log', 'a').write('x')\n")
    for number in range(6):
        shutil.copytree(labs / "labs/double", labs / f"labs/double{number}")
    for lab in catalog.load(labs).labs.values():
        accept(lab, [], []).write()
    done = run(labs, "-n", "3", "--deselect", "nothing")
    assert "8 cells: 7 close, 1 diverged" in done.stdout, done.stdout + done.stderr
    assert (labs.parent / "torch.py.log").read_text() == "x"


def test_a_run_in_which_no_cell_ran_is_not_green(labs: Path) -> None:
    """Skips alone prove nothing: `nox -s lab` must not be green for them."""
    (labs.parent / "torch.py").unlink()
    done = run(labs)
    assert "2 cells: 2 unsupported" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


def test_wrong_input_exits_with_2_and_starts_nothing(labs: Path) -> None:
    """A typo is answered before any worker starts, without a traceback."""
    for arguments, said in (
        (["--lab", "duoble"], "did you mean `double`?"),
        (["--seed", "-1"], "seed -1 is out of range"),
        ([f"--results={labs}"], "is a folder"),
    ):
        done = run(labs, *arguments)
        assert done.returncode == 2
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_is_fetched_and_made_is_seen_while_it_lasts(
    labs: Path, tmp_path: Path, processes: str
) -> None:
    """The first `nox -s lab` takes minutes before the first cell; a terminal shows what they are.

    pytest captures what is written while it reads these hooks; their console is made later.
    """
    links, folder = tmp_path / "links", labs / "environments/tiny"
    wheel = make_wheel(links, "alpha")
    (folder / "cpu.in").write_text("alpha\n")
    described = (folder / "environment.toml").read_text()
    (folder / "environment.toml").write_text(described.replace('"3.11"', f'"{HERE}"'))
    stack = catalog.load(labs).environments["tiny"].stacks["cpu"]
    pin = locks.Pin(name="alpha", version="1.0", hashes=(sha256(wheel),))
    stack.lock.write_text(locks.header(stack, HERE) + pin.requirement + "\n")
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", str(PROJECT / "tests/labs"), "-n", processes,
         "-p", "no:cacheprovider"],
        cwd=labs,
        env={
            **os.environ, "PARITYLAB_ROOT": str(labs), "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links), "TERM": "xterm",
            "PARITYLAB_CACHE": str(tmp_path / "cache"),
        },
        stdin=theirs, stdout=theirs, stderr=theirs,
    ) as child:  # fmt: skip
        os.close(theirs)
        said = b""
        with suppress(OSError):  # how the end of a terminal is told
            while block := os.read(ours, 1 << 16):
                said += block
        os.close(ours)
    assert child.returncode == 1  # the environment holds no framework: no cell can run
    before = said.partition(b"test session starts")[0]
    for work in (b"wheels of tiny-cpu", b"virtual environment tiny"):
        assert work in before, said
