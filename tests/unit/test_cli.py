"""cli: exit codes and messages that scripts and people can rely on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PROJECT

from paritylab import catalog
from paritylab.accept import accept

# `here` offers what can be imported; this lets the PyTorch cell start without the framework.
STAND_IN = """
class Anything:
    def __getattr__(self, name):
        return self
    def __call__(self, *arguments, **options):
        return self
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything()
"""


def paritylab(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "paritylab", *arguments],
        cwd=root,
        env={**os.environ, "COLUMNS": "200", "PARITYLAB_ROOT": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--lab", "duoble"], "did you mean `double`?"),
        (["run", "--engine", "dockr"], "did you mean `docker`?"),
        (["run", "--profile", "portabel"], "did you mean `portable`?"),
        (["run", "--implementation", "tf3"], "unknown implementation `tf3`"),
        (["run", "--device", "cuda"], "none of the chosen environments has that device"),
        (["run", "--nonsense"], "No such option"),
        (["show", "nothing"], "unknown lab `nothing`"),
        (["lock", "nowhere"], "unknown environment `nowhere`"),
    ],
)
def test_wrong_input_exits_with_2_and_the_nearest_name(
    project: Path, arguments: list[str], said: str
) -> None:
    """No traceback, no guess: what is wrong and what may have been meant."""
    done = paritylab(project, *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_matrix_for_github_names_what_can_run(project: Path) -> None:
    """The workflow's matrix is the project's own."""
    done = paritylab(project, "matrix", "--github")
    assert json.loads(done.stdout) == {"include": [{"environment": "tiny", "device": "cpu"}]}


def test_run_here_is_red_or_green_with_its_exit_code(project: Path, tmp_path: Path) -> None:
    """0 when every cell that ran is green, 1 otherwise; results.json is written either way."""
    if any(__import__("importlib.util").util.find_spec(m) for m in ("torch", "tensorflow")):
        pytest.skip("this interpreter has the frameworks: nothing would be unsupported")
    accept(catalog.load(project).labs["double"], [], []).write()
    done = paritylab(project, "run", "--engine", "here", "--results", str(tmp_path / "r.json"))
    assert done.returncode == 1, done.stderr  # nothing ran: that proves nothing
    assert "torch is not installed" in done.stdout
    cells = json.loads((tmp_path / "r.json").read_text())["cells"]
    assert {cell["verdict"] for cell in cells} == {"unsupported"}


def test_every_command_teaches(project: Path) -> None:
    """--help works everywhere and says more than the name."""
    for command in ("run", "accept", "matrix", "list", "show", "new", "claims", "calibrate"):
        done = paritylab(project, command, "--help")
        assert done.returncode == 0
        assert len(done.stdout.splitlines()) > 6, command


def test_show_prints_lesson_and_programs(project: Path) -> None:
    """A student reads the lesson without opening a file."""
    done = paritylab(PROJECT, "show", "multiply")
    assert done.returncode == 0, done.stderr
    for part in ("pytorch.py", "tf1.py", "tf2.py", "Outputs"):
        assert part in done.stdout


def test_ctrl_c_exits_with_130_and_leaves_no_worker(project: Path, tmp_path: Path) -> None:
    """An interrupt in the middle of a cell stops everything that was started."""
    (tmp_path / "torch.py").write_text(STAND_IN)
    mark = tmp_path / "running"
    source = project / "labs/double/pytorch.py"
    source.write_text(
        "import time\n\n\ndef run(inputs, workdir):\n"
        f"    open({str(mark)!r}, 'w').write(str(__import__('os').getpid()))\n"
        "    time.sleep(600)\n"
    )
    accept(catalog.load(project).labs["double"], [], []).write()
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "paritylab",
            "run",
            "--engine",
            "here",
            "--implementation",
            "pytorch",
        ],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PARITYLAB_ROOT": str(project)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    job = int(mark.read_text())
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=30)
    assert child.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "interrupted" in stderr
    for _ in range(100):
        if not Path(f"/proc/{job}").exists():
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{job}").exists()
