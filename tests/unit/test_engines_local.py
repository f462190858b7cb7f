"""The venv and here engines: what their workers see, and what cannot run."""

import socket
import sys
import tempfile
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cards import card

from paritylab import catalog, nvidia
from paritylab.audit.variations import VARIATIONS
from paritylab.engines import streams
from paritylab.engines.base import Endpoint, Unavailable
from paritylab.engines.here import (
    CUDA_PORTABLE,
    CUDA_VARIABLES,
    PORTABLE,
    SESSION,
    HereEngine,
    local_environment,
)
from paritylab.engines.local import LocalEngine, LocalWorker
from paritylab.engines.venv import VenvEngine
from paritylab.errors import LabError, NoGpuError, WorkerError
from paritylab.fleet import LocalFleet
from paritylab.model import IMPLEMENTATIONS, Environment, Limits, WorkerKey
from paritylab.wire import Job, Session

PROJECT = Path(__file__).parent.parent.parent


def key(
    environment: Environment, *, device: str = "cpu", preload: tuple[str, ...] = ()
) -> WorkerKey:
    """A native worker."""
    return WorkerKey(
        environment=environment, device=device, profile="native", preload=preload, variables={}
    )


@pytest.fixture
def tiny(project: Path) -> Environment:
    """The fixture environment."""
    return catalog.load(project).environments["tiny"]


def test_the_users_session_does_not_reach_a_lab(
    tiny: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell that looks at CI, the terminal or the locale is the same for everybody."""
    for name in SESSION:
        monkeypatch.setenv(name, "17")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib/nvidia")
    for engine in (HereEngine(), VenvEngine()):
        seen = engine.variables(key(tiny))
        assert {name: seen[name] for name in SESSION & seen.keys()} == {"LANG": "C.UTF-8"}
    assert HereEngine().variables(key(tiny))["LD_LIBRARY_PATH"] == "/usr/lib/nvidia"


def test_whatever_an_audit_sets_is_not_set_without_it() -> None:
    """A variation of variables that the session has already would change nothing."""
    varied = {n for one in VARIATIONS.values() for n in one.job.get("variables", ())}
    assert varied <= SESSION


def test_here_describes_this_interpreter() -> None:
    """The environment `here` has this Python, what is installed, and a reason for what is not."""
    found = local_environment()
    assert found.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert set(found.stacks) == {"cpu", "cuda"}
    assert "numpy" in found.stacks["cpu"].packages
    assert set(found.support) == set(IMPLEMENTATIONS)
    for support in found.support.values():
        assert bool(support.preload) != bool(support.unsupported)


def test_here_imports_no_framework() -> None:
    """Describing what is installed must not import it: the host stays free of frameworks."""
    local_environment()
    assert not {"torch", "tensorflow"} & set(sys.modules)


def test_portable_variables_are_those_of_the_newest_environment() -> None:
    """The copy of the portable profile for `here` equals that of environments/tf2."""
    text = (PROJECT / "environments" / "tf2" / "environment.toml").read_text()
    there = tomllib.loads(text)
    assert there["profiles"]["portable"] == PORTABLE
    assert there["devices"]["cuda"]["profiles"]["portable"] == CUDA_PORTABLE
    assert there["devices"]["cuda"]["variables"] == CUDA_VARIABLES


def test_local_engines_without_a_gpu_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an NVIDIA device and driver they refuse, and tell both with their remedies."""
    monkeypatch.setattr(nvidia, "DEVICES", (tmp_path / "nvidiactl", tmp_path / "dxg"))
    monkeypatch.setattr(nvidia, "DRIVER", tmp_path / "version")
    for engine in (HereEngine(), VenvEngine()):
        with pytest.raises(NoGpuError, match="no GPU can be used") as refused:
            engine.gpus(local_environment())
        assert "missing: the driver" in str(refused.value)
        assert "nvidiactl" in str(refused.value)
        assert refused.value.exit_code == 3


def test_here_asks_the_framework_for_its_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A framework that cannot use the GPU makes its cells unsupported, and the worker goes."""
    (tmp_path / "torch.py").write_text(
        "class cuda:\n"
        "    def get_device_properties(_):\n"
        "        raise AssertionError('Torch not compiled with CUDA enabled')\n"
        "def nothing(*a, **k): pass\nmanual_seed = zeros = nothing\n"
        "class nn:\n    Parameter = staticmethod(nothing)\n"
        "class optim:\n    SGD = staticmethod(nothing)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with HereEngine() as engine:
        on_gpu = replace(key(local_environment(), device="cuda", preload=("torch",)), gpu=card())
        with pytest.raises(NoGpuError, match="torch cannot use the GPU here"):
            engine.start(on_gpu)
        assert not engine._workers
        with LocalFleet(engine) as fleet:
            missing = fleet.endpoint(on_gpu)
    assert isinstance(missing, Unavailable)
    assert "not compiled with CUDA" in missing.reason


def test_venv_gives_workers_a_clean_set_of_variables(
    tiny: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the user's shell holds does not reach a worker, but for a short list; the key's does."""
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    wanted = WorkerKey(
        environment=tiny, device="cpu", profile="portable", preload=(),
        variables={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    seen = VenvEngine().variables(wanted)
    assert seen["OMP_NUM_THREADS"] == "1"
    assert "PYTHONPATH" not in seen
    assert seen["LANG"] == "C.UTF-8"
    assert "PATH" in seen


def test_venv_without_that_device_says_so(tiny: Environment) -> None:
    """An environment without a CUDA stack cannot run on cuda, and says what it can."""
    missing = VenvEngine().unavailable(key(tiny, device="cuda"))
    assert missing is not None
    assert (missing.reason, missing.fix) == (
        "tiny has no stack for cuda", "choose another device: cpu",
    )  # fmt: skip


class Interpreter(LocalEngine):
    """Starts whatever it is told to."""

    name = "test"

    def __init__(self, *command: str) -> None:
        super().__init__()
        self._command = list(command)

    def command(self, key: WorkerKey) -> list[str]:  # noqa: ARG002 - one for all keys
        """See LocalEngine."""
        return self._command

    def variables(self, key: WorkerKey) -> dict[str, str]:  # noqa: ARG002 - likewise
        """See LocalEngine."""
        return {}


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/no/such/python", "No such file"),
        ("/bin/false", "exit status 1"),
        ("/bin/echo", "did not say ready"),
    ],
)
def test_what_is_no_worker_is_told(command: str, told: str, tiny: Environment) -> None:
    """A missing or broken interpreter is a WorkerError that says which, and leaves nothing."""
    with Interpreter(command) as engine, pytest.raises(WorkerError, match=told):
        engine.start(key(tiny))


def test_the_words_of_a_process_that_is_gone_are_read(tiny: Environment) -> None:
    """What said something and ended before it was sent anything is told by what it said."""
    begun = LocalWorker(key(tiny), ["/bin/echo"], {})
    begun._process.wait()
    with pytest.raises(WorkerError, match="did not say ready"):
        begun.wait_ready()
    begun.stop()


def test_close_does_not_wait_for_imports(tmp_path: Path, tiny: Environment) -> None:
    """Ctrl-C while a framework is imported ends the worker at once, not after the import."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(600)\n")
    engine = HereEngine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        faults: list[LabError] = []

        def start() -> None:
            try:
                engine.start(key(local_environment(), preload=("slow",)))
            except LabError as fault:
                faults.append(fault)

        thread = threading.Thread(target=start)
        thread.start()
        time.sleep(0.5)
    began = time.monotonic()
    engine.close()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
    assert faults


def test_a_worker_stopped_before_it_is_spoken_to_is_told() -> None:
    """close() in one thread just after another has begun to start gives that one a WorkerError."""
    begun = LocalWorker(key(local_environment()), [sys.executable], {})
    begun.stop()
    with pytest.raises(WorkerError, match="ended while it started"):
        begun.wait_ready()


def test_a_full_disk_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails after the folder was made, Ctrl-C too, takes the folder away again."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match="No space"):
        LocalWorker(key(local_environment()), [sys.executable], {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
def test_close_while_others_start(delay: float) -> None:
    """Whenever close() comes, each start ends with an endpoint or a LabError; no worker is left."""
    engine, begun = HereEngine(), threading.Semaphore(0)

    def start() -> list[int] | LabError:
        begun.release()
        try:
            engine.start(key(local_environment()))
        except LabError as fault:
            return fault
        return []

    with ThreadPoolExecutor(3) as pool:
        started = [pool.submit(start) for _ in range(3)]
        for _ in started:
            begun.acquire()
        time.sleep(delay)
        workers = list(engine._workers.values())
        engine.close()
        for one in started:
            assert one.exception(30) is None
    assert not engine._workers
    for one in workers:
        assert one._process.poll() is not None
        assert not one.folder.exists()


def test_a_worker_that_is_stuck_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting to a worker that accepts nobody ends after a while, with a WorkerError."""
    monkeypatch.setattr(streams, "_CONNECT_SECONDS", 0.2)
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        waiting = streams.connect_unix(path)
        with pytest.raises(WorkerError, match="no worker answers"):
            streams.connect_unix(path)
        waiting.close()


def test_long_temporary_paths_still_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TMPDIR too long for a Unix socket's name is left aside."""
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with HereEngine() as engine:
        endpoint = engine.start(key(local_environment()))
        assert isinstance(endpoint, Endpoint)
        job = Job(
            id="x", file="x.py", source="def run(i, w):\n    return {}\n", stages=("run",),
            inputs={}, limits=Limits(), seed=0, profile="native",
        )  # fmt: skip
        with Session(engine.connect(endpoint)) as session:
            assert session.run(job).status == "ok"
    assert not list(deep.iterdir())
