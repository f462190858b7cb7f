"""cli: exit codes and messages that scripts and people can rely on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import FIXTURES, PROJECT
from typer.main import get_command_name

from paritylab import catalog
from paritylab.accept import accept
from paritylab.cli import COMMANDS, app, main


@dataclass
class Done:
    """What a finished command said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def paritylab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], project: Path
) -> Callable[..., Done]:
    """Run the command line in this process, in the fixture project."""

    def run(*arguments: str, root: Path = project) -> Done:
        monkeypatch.setenv("PARITYLAB_ROOT", str(root))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["paritylab", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Done(int(end.value.code or 0), said.out, said.err)

    return run


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
        (["images", "context", "tiny", "out", "--device", "cuda"], "has the device cuda"),
        (["run", "--seed", "-1"], "greater than or equal to 0"),
        (["plot", "nothing.json"], "nothing.json cannot be read"),
        (["report", "nothing.json"], "nothing.json cannot be read"),
        (["lock", "nowhere"], "unknown environment `nowhere`"),
    ],
)
def test_wrong_input_exits_with_2_and_the_nearest_name(
    paritylab: Callable[..., Done], arguments: list[str], said: str
) -> None:
    """No traceback, no guess: what is wrong and what may have been meant."""
    done = paritylab(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_matrix_for_github_names_what_can_run(paritylab: Callable[..., Done]) -> None:
    """The workflow's matrix is the project's own."""
    done = paritylab("matrix", "--github")
    assert json.loads(done.stdout) == {"include": [{"environment": "tiny", "device": "cpu"}]}


def test_a_run_in_which_nothing_ran_is_not_green(
    paritylab: Callable[..., Done], project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1: it proves nothing; results.json is written all the same."""
    for framework in ("torch", "tensorflow"):
        monkeypatch.setitem(sys.modules, framework, None)  # not there, whoever has them
    accept(catalog.load(project).labs["double"], [], []).write()
    done = paritylab("run", "--engine", "here", "--results", str(tmp_path / "r.json"))
    assert done.returncode == 1, done.stderr
    assert "torch is not installed" in done.stdout
    cells = json.loads((tmp_path / "r.json").read_text())["cells"]
    assert {cell["verdict"] for cell in cells} == {"unsupported"}


def test_every_command_teaches(paritylab: Callable[..., Done]) -> None:
    """--help works everywhere and says more than the name."""
    commands = ("run", "accept", "matrix", "list", "show", "new", "claims", "calibrate", "report")
    for command in commands:
        done = paritylab(command, "--help")
        assert done.returncode == 0
        assert len(done.stdout.splitlines()) > 6, command


def test_show_prints_lesson_and_programs(paritylab: Callable[..., Done]) -> None:
    """A student reads the lesson without opening a file."""
    done = paritylab("show", "multiply", root=PROJECT)
    assert done.returncode == 0, done.stderr
    for part in ("pytorch.py", "tf1.py", "tf2.py", "Outputs"):
        assert part in done.stdout


def test_show_fits_a_narrow_terminal(
    paritylab: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that do not fit side by side stand under one another."""
    monkeypatch.setattr(app.out, "_width", 60)
    done = paritylab("show", "multiply", root=PROJECT)
    assert done.returncode == 0, done.stderr
    assert max(len(line) for line in done.stdout.splitlines()) <= 60


def interrupted(project: Path, mark: Path, *arguments: str) -> tuple[str, str]:
    """Press Ctrl-C once a cell has written ``mark``; return both streams of a run that ended so."""
    child = subprocess.Popen(
        [sys.executable, "-m", "paritylab", "run", "--engine", "here", "--implementation",
         "pytorch", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project.parent), "PARITYLAB_ROOT": str(project)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    streams = child.communicate(timeout=30)
    assert child.returncode == 130, streams[1]
    return streams


def test_ctrl_c_keeps_what_has_ended(project: Path, tmp_path: Path) -> None:
    """An hour's results are shown and written, and the file says that it is a part."""
    shutil.copy(FIXTURES / "stand_in/torch.py", tmp_path)
    shutil.copytree(project / "labs/double", project / "labs/slow")
    mark = tmp_path / "running"
    (project / "labs/slow/pytorch.py").write_text(
        "import time\n\n\ndef run(inputs, workdir):\n"
        f"    open({str(mark)!r}, 'w').write('x')\n    time.sleep(600)\n"
    )
    for lab in catalog.load(project).labs.values():
        accept(lab, [], []).write()
    stdout, stderr = interrupted(project, mark, "--jobs", "1", "--results", "r.json")
    assert "1 of 2 cells ran" in stderr
    assert "1 cell: 1 close" in stdout
    found = json.loads((project / "r.json").read_text())
    assert [one["cell"] for one in found["cells"]] == ["double-pytorch@here-cpu"]
    assert found["run"]["partial"] == "1 of 2 cells"


def test_ctrl_c_exits_with_130_and_leaves_no_worker(project: Path, tmp_path: Path) -> None:
    """An interrupt in the middle of a cell stops everything that was started."""
    shutil.copy(FIXTURES / "stand_in/torch.py", tmp_path)
    mark = tmp_path / "running"
    source = project / "labs/double/pytorch.py"
    source.write_text(
        "import time\n\n\ndef run(inputs, workdir):\n"
        f"    open({str(mark)!r}, 'w').write(str(__import__('os').getpid()))\n"
        "    time.sleep(600)\n"
    )
    accept(catalog.load(project).labs["double"], [], []).write()
    _, stderr = interrupted(project, mark)
    job = int(mark.read_text())
    assert "Traceback" not in stderr
    assert "interrupted" in stderr
    for _ in range(100):
        if not Path(f"/proc/{job}").exists():
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{job}").exists()


def test_every_command_is_where_the_table_says() -> None:
    """A command that the table does not know is found in no command line that names it."""
    found: dict[str, set[str]] = {}
    groups = {group.name: group.typer_instance for group in app.app.registered_groups}
    for name, group in ((None, app.app), *groups.items()):
        for command in group.registered_commands:
            module = command.callback.__module__.rpartition(".")[2]
            own = command.name or get_command_name(command.callback.__name__)
            found.setdefault(module, set()).add(name or own)
    assert {module: set(commands) for module, commands in COMMANDS.items()} == found


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (["list"], {"labs"}),
        (["--labs", "run", "list"], {"labs"}),
        (["list", "--labs=run"], {"labs"}),
        (["images", "build"], {"build", "imagefiles", "reproduce"}),
        (["--help"], set(COMMANDS)),
        (["lits"], set(COMMANDS)),
        (["image", "list"], set(COMMANDS)),
        (["--labs", "run"], set(COMMANDS)),
    ],
)
def test_a_command_waits_for_no_other_ones_imports(words: list[str], loaded: set[str]) -> None:
    """Where none is named, all are there: for help, and for the nearest name. None draws yet."""
    code = (
        "import sys; from paritylab.cli import COMMANDS, load; load(sys.argv[1:]);"
        "print(*(one for one in COMMANDS if f'paritylab.cli.{one}' in sys.modules));"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    modules, drawn = done.stdout.splitlines()
    assert set(modules.split()) == loaded
    assert drawn == "False"
