"""The worker as a process: what it must not do, what it answers, how it ends."""

import ast
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paritylab import worker
from paritylab.engines.base import Endpoint
from paritylab.engines.here import HereEngine, local_environment
from paritylab.engines.local import LocalWorker
from paritylab.engines.streams import BOOT, start_message
from paritylab.errors import EngineError, WorkerError
from paritylab.interpreters import find
from paritylab.model import Limits, WorkerKey
from paritylab.wire import Job, JobResult, Session

SOURCE = Path(worker.__file__)
Opened = tuple[HereEngine, Endpoint]
QUIET = {"OPENBLAS_NUM_THREADS": "1"}


def key(*preload: str, profile: str = "native", **variables: str) -> WorkerKey:
    """A worker of this interpreter."""
    return WorkerKey(
        environment=local_environment(), device="cpu", profile=profile, preload=preload,
        variables=QUIET | variables,
    )  # fmt: skip


def job(source: str, *, file: str = "pytorch.py", **more: Any) -> Job:
    """A job that may take ten seconds."""
    facts: dict[str, Any] = {"inputs": {}, "seed": 0, "profile": "native", "stages": ("run",)}
    return Job(id="test", file=file, source=source, limits=Limits(seconds=10.0), **facts | more)


def run(opened: Opened, wanted: Job) -> JobResult:
    """Run a job on a connection of its own; it must succeed."""
    with Session(opened[0].connect(opened[1])) as session:
        answer = session.run(wanted)
    assert answer.status == "ok", answer
    return answer


def soon(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    """A worker that the tests of this file share."""
    with HereEngine() as engine:
        yield engine, engine.start(key())


def test_syntax_is_that_of_python_3_7() -> None:
    """The file parses as Python 3.7, the oldest environment's."""
    ast.parse(SOURCE.read_text(), feature_version=(3, 7))


@pytest.mark.parametrize("version", ["3.7", "3.13"])
def test_old_and_new_pythons_compile_it(version: str) -> None:
    """Where such an interpreter is at hand, it compiles the file itself."""
    python = find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    code = "import sys; compile(sys.stdin.read(), 'worker', 'exec', dont_inherit=True)"
    subprocess.run([str(python), "-c", code], input=SOURCE.read_bytes(), check=True)


def test_imports_the_standard_library_and_numpy_alone() -> None:
    """The file runs inside environments, so it imports nothing of ours and no framework."""
    found = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    assert found <= set(sys.stdlib_module_names) | {"numpy"}
    assert "pickle" not in found


def test_one_thread_before_the_fork(opened: Opened) -> None:
    """A worker reports how many threads it has; with nothing preloaded there is one."""
    with Session(opened[0].connect(opened[1])) as session:
        assert session.hello.threads == 1


@pytest.mark.parametrize("jobs", [1, None])
def test_imports_are_not_searched_for_garbage_and_jobs_are(
    jobs: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search is a fifth of a framework's import; a job has it, as everybody's program, but not
    for what was imported, which it would walk and so copy."""
    text = "import gc\nasked = gc.isenabled()\nheld = [[] for _ in range(10_000)]\n"
    (tmp_path / "large.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    source = (
        "import gc, large\ndef run(i, w):\n"
        "    return {'during': large.asked, 'now': gc.isenabled(), 'kept': gc.get_freeze_count()}\n"
    )
    with HereEngine() as engine:
        endpoint = engine.start(replace(key("large"), jobs=jobs))
        values = run((engine, endpoint), job(source)).values
    assert (values["during"], values["now"]) == (False, True)
    assert values["kept"] > 10_000


@pytest.mark.parametrize(
    ("jobs", "caged", "warmed", "lasting"),
    [
        (None, "", True, True),
        (50, "", True, True),
        (49, "", True, False),
        (None, "namespaces", True, True),
        (None, "filter", True, False),
        (1, "", False, False),
    ],
)
def test_a_worker_for_a_few_jobs_does_nothing_that_only_many_repay(
    jobs: int | None, caged: str, warmed: bool, lasting: bool, tmp_path: Path
) -> None:
    """Huge pages take half a second, of three that a submission's own worker takes to start; and
    what a fork would find done is not worth its time before a single one."""
    place = str(tmp_path)
    wanted = replace(key(), jobs=jobs)
    message = io.BytesIO(
        start_message(wanted, socket_path=place, folder=place, uids=1, caged=caged)
    )
    message.read(int.from_bytes(message.read(4), "big"))
    start, _ = worker.read_frame(worker.exactly(message.read))
    assert (start["warmup"] != "", start["lasting"]) == (warmed, lasting)


WARMUP = "def warm(name):\n    print('warm', name)\ndef gather_pages():\n    print('gather')\n"


@pytest.mark.parametrize(
    ("warmup", "lasting", "done"),
    [(WARMUP, True, "warm json\ngather\n"), (WARMUP, False, "warm json\n"), ("", False, "")],
)
def test_a_worker_does_before_its_forks_what_its_start_frame_says(
    warmup: str, lasting: bool, done: str, tmp_path: Path
) -> None:
    """In a process of its own, for it imports and freezes."""
    start = {
        "preload": ["json"], "warmup": warmup, "lasting": lasting, "uids": 0,
        "socket": str(tmp_path / "socket"), "folder": str(tmp_path),
    }  # fmt: skip
    line = f"from paritylab import worker; worker._prepare({start!r})"
    ended = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert ended.stdout == done


def test_what_an_import_prints_is_no_jobs_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text that waits in a buffer when a worker forks would be printed by every job."""
    talk = "import sys\nprint('hello', end='')\nprint('world', end='', file=sys.stderr)\n"
    (tmp_path / "talkative.py").write_text(talk)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with HereEngine() as engine:
        endpoint = engine.start(key("talkative"))
        for _ in range(2):
            answer = run((engine, endpoint), job("def run(i, w):\n    return {}\n"))
            assert (answer.stdout, answer.stderr) == ("", "")


def test_a_host_that_dies_during_the_imports_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker finds nobody to say `ready` to, and cleans up behind it all the same."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(2)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    begun = LocalWorker(key("slow"), [sys.executable], {"PYTHONPATH": str(tmp_path)})
    message = start_message(begun.key, socket_path=begun.socket, folder=str(begun.jobs), uids=0)
    begun._lifetime.write(message, deadline=time.monotonic() + 10)
    begun._lifetime.close()  # as the kernel does when the host is killed
    assert begun._process.wait(30) == 0
    assert not begun.folder.exists()
    begun.stop()


def test_a_thread_before_the_fork_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard works: a module that starts a thread on import shows in the count."""
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with HereEngine() as engine:
        endpoint = engine.start(key("threaded"))
        with Session(engine.connect(endpoint)) as session:
            assert session.hello.threads == 2


def test_a_job_holds_no_descriptor_of_the_worker(opened: Opened) -> None:
    """A job has stdin, stdout, stderr, and the one its answer travels on."""
    source = (
        "import os\ndef run(i, w):\n    n = sorted(map(int, os.listdir('/proc/self/fd')))\n"
        "    return {'open': sum(os.path.exists('/proc/self/fd/%d' % fd) for fd in n),\n"
        "            'stdin': os.readlink('/proc/self/fd/0')}\n"
    )
    values = run(opened, job(source)).values
    assert values == {"open": 4, "stdin": "/dev/null"}


def test_a_job_s_temporary_files_go_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a framework asked for on import does not send the jobs' files to the shared /tmp."""
    (tmp_path / "early.py").write_text("import tempfile\ntempfile.gettempdir()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    source = "import tempfile\ndef run(i, w):\n    return {'in': tempfile.gettempdir() == str(w)}\n"
    with HereEngine() as engine:
        assert run((engine, engine.start(key("early"))), job(source)).values == {"in": True}


def test_an_implementation_is_a_module_of_its_name(opened: Opened) -> None:
    """What looks a module up by name works: pickle, inspect, the traceback of a class."""
    source = (
        "import inspect, pickle, sys\n\nclass Net:\n    pass\n\n"
        "def run(i, w):\n    net = pickle.loads(pickle.dumps(Net()))\n"
        "    return {'kind': type(net).__name__, 'module': __name__,\n"
        "            'source': inspect.getsource(Net), 'same': sys.modules[__name__].Net is Net}\n"
    )
    values = run(opened, job(source, file="tf2.py")).values
    assert values["module"] == "tf2"
    assert values["source"] == "class Net:\n    pass\n"
    assert values["same"] is True


def test_inputs_are_writable_and_fresh_for_each_stage(opened: Opened) -> None:
    """A stage may overwrite its inputs; the next one still gets what the host sent."""
    source = "def run(i, w):\n    i['x'] += 1\n    return {'%s': i['x']}\n"
    wanted = job(
        source % "a" + source.replace("run", "again") % "b",
        stages=("run", "again"), inputs={"x": np.zeros(2)},
    )  # fmt: skip
    values = run(opened, wanted).values
    np.testing.assert_array_equal(values["a"], [1, 1])
    np.testing.assert_array_equal(values["b"], [1, 1])


def test_seeds_are_set_in_every_process(opened: Opened) -> None:
    """Unseeded draws of Python and NumPy are the job's seed's, job after job."""
    source = (
        "import random\nimport numpy as np\n"
        "def run(i, w):\n    return {'a': random.random(), 'b': np.random.rand(3)}\n"
    )
    first, again = (run(opened, job(source, seed=7)).values for _ in range(2))
    other = run(opened, job(source, seed=8)).values
    assert first["a"] == again["a"] != other["a"]
    assert first["b"].tobytes() == again["b"].tobytes()  # type: ignore[union-attr]


def test_awkward_arrays_become_plain(opened: Opened) -> None:
    """Big-endian, strided, Fortran-ordered and 0-d values arrive as plain arrays of their dtype."""
    source = (
        "import numpy as np\ndef run(i, w):\n    a = np.arange(6.0).reshape(2, 3)\n"
        "    return {'big': a.astype('>f4'), 'strided': a[:, ::2], 'turned': a.T,\n"
        "            'scalar': np.float16(1.5), 'zero': np.array(3), 'empty': a[:0],\n"
        "            'text': np.str_('x'), 'flag': np.bool_(True)}\n"
    )
    values: Any = run(opened, job(source)).values
    assert values["big"].dtype == np.dtype("<f4")
    np.testing.assert_array_equal(values["strided"], [[0, 2], [3, 5]])
    assert values["turned"].flags["C_CONTIGUOUS"]
    assert (values["scalar"].dtype, values["scalar"].shape) == (np.float16, ())
    assert (values["zero"].shape, values["empty"].shape) == ((), (0, 3))
    assert (values["text"], values["flag"].dtype) == ("x", np.bool_)


def test_another_profile_is_refused(opened: Opened) -> None:
    """A job for another profile than the worker was started for is refused, not run."""
    with (
        Session(opened[0].connect(opened[1])) as session,
        pytest.raises(WorkerError, match="profile native"),
    ):
        session.run(job("", profile="portable"))


@pytest.mark.parametrize("file", ["../x.py", "x", "/x.py", ""])
def test_a_file_name_with_a_path_is_refused(file: str, opened: Opened) -> None:
    """A job cannot name a file outside its own folder."""
    with (
        Session(opened[0].connect(opened[1])) as session,
        pytest.raises(WorkerError, match="no name of a Python file"),
    ):
        session.run(job("", file=file))


@given(st.binary(min_size=1, max_size=200))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_noise_ends_a_session_and_nothing_else(opened: Opened, noise: bytes) -> None:
    """A session answers noise with a refusal or a hang-up; the worker goes on."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(opened[1].socket)
        sock.settimeout(10)
        sock.sendall(noise)
        sock.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):  # what a close with unread bytes looks like
            while sock.recv(65536):
                pass


def test_after_noise_jobs_still_run(opened: Opened) -> None:
    """The worker that was sent noise still works."""
    run(opened, job("def run(i, w):\n    return {}\n"))


@pytest.mark.parametrize("sent", ["nothing", "half the source", "half the start"])
def test_a_host_that_dies_early_leaves_no_worker(sent: str, tmp_path: Path) -> None:
    """When the host goes before the worker has all it needs, the worker goes too."""
    whole = start_message(key(), socket_path=str(tmp_path / "s"), folder=str(tmp_path), uids=0)
    parts = {"nothing": b"", "half the source": whole[:1000], "half the start": whole[:-5]}
    process = subprocess.Popen(
        [sys.executable, "-c", BOOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.communicate(parts[sent], timeout=20)[0] == b""


def test_a_failing_import_is_told_with_its_traceback() -> None:
    """A module that is not there is named."""
    with HereEngine() as engine, pytest.raises(WorkerError, match="no_such_framework") as told:
        engine.start(key("no_such_framework"))
    assert "ModuleNotFoundError" in str(told.value)


def test_a_death_on_import_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When an import kills the process, what it printed and its exit status are told."""
    (tmp_path / "crashing.py").write_text("import os\nos.write(2, b'bad libfoo')\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with HereEngine() as engine, pytest.raises(WorkerError, match="exit status -6") as told:
        engine.start(key("crashing"))
    assert "bad libfoo" in str(told.value)


def test_stop_and_close_may_be_repeated() -> None:
    """Stopping twice and closing twice do no harm; a closed engine starts nothing."""
    engine = HereEngine()
    endpoint = engine.start(key())
    engine.stop(endpoint)
    engine.stop(endpoint)
    with pytest.raises(WorkerError, match="no worker answers"):
        engine.connect(endpoint)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.start(key())


@pytest.mark.parametrize(
    ("number", "told"), [(40, "signal 40 (real-time)"), (signal.SIGTERM, "signal 15 (SIGTERM)")]
)
def test_any_signal_is_told(number: int, told: str, opened: Opened) -> None:
    """A real-time signal has no name, and the worker's own handler of SIGTERM is not the job's."""
    source = (
        f"import os, time\ndef run(i, w):\n    os.kill(os.getpid(), {number})\n    time.sleep(9)\n"
    )
    with Session(opened[0].connect(opened[1])) as session:
        answer = session.run(job(source))
    assert (answer.status, answer.cause) == ("killed", f"ended by {told}")


NO_FORKS = """
import os
real = os.fork
def fork():
    if os.path.exists(os.environ["NO_FORKS"]):
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return real()
os.fork = fork
"""


def footprint(pid: int) -> tuple[int | None, int]:
    """How many descriptors a process has open, and how many of its pages are resident.

    None where nobody but root may count them: a worker lets no other process look into it.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    try:
        return len(os.listdir(f"/proc/{pid}/fd")), pages
    except PermissionError:
        return None, pages


def seen(descriptors: int | None) -> None:
    """Say that a test has seen less than it would as root; to be called when the rest passed."""
    if descriptors is None:
        pytest.skip("all but descriptors was checked: a worker lets only root count them")


def test_no_process_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing can be forked a job or a caller is told, and later ones run as before."""
    (tmp_path / "no_forks.py").write_text(NO_FORKS)
    flag = tmp_path / "flag"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fine = job("def run(i, w):\n    return {}\n")
    with HereEngine() as engine:
        endpoint = engine.start(key("no_forks", NO_FORKS=str(flag)))
        with Session(engine.connect(endpoint)) as session:
            assert session.run(fine).status == "ok"
            (pid,) = worker._descendants(engine._workers[endpoint.socket]._process.pid)
            before = footprint(pid)[0]
            flag.touch()
            for _ in range(3):
                answer = session.run(fine)
                assert (answer.status, "could not run it" in answer.cause) == ("error", True)
            assert footprint(pid)[0] == before
            with pytest.raises(WorkerError):
                Session(engine.connect(endpoint))
            flag.unlink()
            assert session.run(fine).status == "ok"
        run((engine, endpoint), fine)
    seen(before)


def test_job_after_job_leaves_nothing_in_a_session(opened: Opened) -> None:
    """Neither descriptors, nor memory, nor zombies pile up in a session; nor here."""
    zygote = opened[0]._workers[opened[1].socket]._process.pid
    fine = job("def run(i, w):\n    return {'x': i['x']}\n", inputs={"x": np.zeros(100_000)})
    with Session(opened[0].connect(opened[1])) as session:
        (pid,) = worker._descendants(zygote)
        for _ in range(10):
            session.run(fine)
        (fds, pages), mine = footprint(pid), footprint(os.getpid())[0]
        for _ in range(60):
            session.run(fine)
        assert worker._descendants(zygote) == {pid}
        assert footprint(pid)[0] == fds
        assert footprint(pid)[1] - pages < 2048  # 8 MiB; sixty inputs have 48
        assert footprint(os.getpid())[0] == mine
    seen(fds)


HOST = """
from paritylab.engines.here import HereEngine, local_environment
from paritylab.model import Limits, WorkerKey
from paritylab.wire import Job, Session
key = WorkerKey(environment=local_environment(), device="cpu", profile="native", preload=(),
                variables={"OPENBLAS_NUM_THREADS": "1"})
with HereEngine() as engine:
    endpoint = engine.start(key)
    print(engine._workers[endpoint.socket]._process.pid, endpoint.socket, flush=True)
    source = '''
import os, time
def run(inputs, workdir):
    if os.fork() == 0:
        os.setsid()
    time.sleep(600)
'''
    job = Job(id="x", file="x.py", source=source, stages=("run",), inputs={},
              limits=Limits(seconds=600), seed=0, profile="native")
    with Session(engine.connect(endpoint)) as session:
        session.run(job)
"""


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie: a container's first process may reap nobody."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_the_host(sign: signal.Signals) -> None:
    """However the host ends, by kill -9 or Ctrl-C, worker, jobs, daemons and folder go."""
    host = subprocess.Popen(
        [sys.executable, "-c", HOST], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        assert host.stdout is not None
        pid, path = host.stdout.readline().decode().split()
        assert soon(lambda: len(worker._descendants(int(pid))) == 3)  # session, job, daemon
        tree = worker._descendants(int(pid)) | {int(pid)}
        host.send_signal(sign)
        host.wait(20)
        assert soon(lambda: not any(map(lives, tree)))
        assert soon(lambda: not Path(path).parent.exists())
    finally:
        host.kill()
        host.wait()
