"""The docker engine on a real Docker engine: walls, lifetimes, errors."""

import gc
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paritylab.engines.base import Endpoint
from paritylab.engines.docker import DockerEngine, _Box
from paritylab.engines.dockerclient import open_client
from paritylab.engines.sandbox import Container, _owner, _started, remove, run_labels, sweep
from paritylab.errors import DockerError, EngineError, WorkerError
from paritylab.model import Limits, WorkerKey
from paritylab.wire import Job, JobResult, Session

pytestmark = pytest.mark.docker
Opened = tuple[DockerEngine, Endpoint]


def job(source: str, inputs: dict[str, Any] | None = None, seconds: float = 20.0) -> Job:
    """A job whose source is given in the test."""
    return Job(
        id="test", file="pytorch.py", source=source, stages=("run",), inputs=inputs or {},
        limits=Limits(seconds=seconds, memory_mb=256), seed=0, profile="native",
    )  # fmt: skip


def run(opened: Opened, source: str, **more: Any) -> JobResult:
    """Run a job on a connection of its own; it must succeed."""
    with Session(opened[0].connect(opened[1])) as session:
        answer = session.run(job(source, **more))
    assert answer.status == "ok", answer
    return answer


def containers(client: Any) -> set[str]:
    """Ids of all containers that runs of paritylab have made."""
    found = client.api.containers(all=True, filters={"label": "paritylab.kind=run"})
    return {container["Id"] for container in found}


def soon(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@pytest.fixture(scope="module")
def opened(open_docker: Callable[[], DockerEngine], numpy_key: WorkerKey) -> Iterator[Opened]:
    """A worker that the tests of this file share."""
    with open_docker() as engine:
        yield engine, engine.start(numpy_key)


WALLS = """
import os, socket

def fails(action):
    try:
        action()
    except OSError as fault:
        return fault.strerror
    return "it worked"

def run(inputs, workdir):
    status = dict(l.split(":", 1) for l in open("/proc/self/status") if ":" in l)
    return {
        "uid": os.getuid(), "groups": len(os.getgroups()),
        "effective": status["CapEff"].strip(), "bounding": status["CapBnd"].strip(),
        "no_new_privileges": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(),
        "interfaces": ",".join(name for _, name in socket.if_nameindex()),
        "root": fails(lambda: open("/written", "w")),
        "packages": fails(lambda: os.rename("/opt/venv", "/opt/other")),
        "jobs": fails(lambda: os.listdir("/run/lab")),
        "squat": fails(lambda: os.mkdir("/run/lab/x")),
        "code": fails(lambda: os.rename(str(workdir.parent / "code"), str(workdir / "c"))),
        "patch": fails(lambda: open(__file__, "a")),
        "shadow": fails(lambda: open("/etc/shadow")),
        "become_root": fails(lambda: os.setuid(0)),
        "mounts": ",".join(sorted(
            l.split()[4] for l in open("/proc/self/mountinfo")
            if l.split(" - ")[1].split()[0] in ("ext4", "xfs", "btrfs"))),
    }
"""


def test_walls(opened: Opened) -> None:
    """A job has no network, no privilege, no way to write but its folder, /tmp and /dev/shm."""
    seen = run(opened, WALLS).values
    denied = "Permission denied"
    assert seen["uid"] >= 1000  # type: ignore[operator]
    assert seen["groups"] == 0
    assert seen["effective"] == "0" * 16
    assert int(str(seen["bounding"]), 16) == 1 << 5 | 1 << 6 | 1 << 7  # KILL, SETGID, SETUID
    assert seen["no_new_privileges"] == "1"
    assert seen["seccomp"] == "2"
    assert seen["interfaces"] == "lo"
    assert seen["root"] in ("Read-only file system", denied)
    assert seen["packages"] in ("Read-only file system", denied)
    for key in ("jobs", "squat", "patch", "shadow"):
        assert seen[key] == denied, key
    for key in ("code", "become_root"):
        assert seen[key] == "Operation not permitted", key
    # The engine's own files, nothing that we asked for.
    names = {str(path).rpartition("/")[2] for path in str(seen["mounts"]).split(",")}
    assert names <= {"hosts", "hostname", "resolv.conf", "docker-init"}


def test_limits_of_the_container(opened: Opened) -> None:
    """The container itself is read-only, limited, without mounts, and removes itself."""
    wall = open_client().api.inspect_container(opened[1].place)["HostConfig"]
    assert wall["ReadonlyRootfs"]
    assert wall["AutoRemove"]
    assert wall["Init"]
    assert not wall["Binds"]
    assert not wall.get("Mounts")
    assert wall["CapDrop"] == ["ALL"]
    assert 0 < wall["PidsLimit"] <= 4096
    assert 0 < wall["Memory"] == wall["MemorySwap"]
    assert wall["NanoCpus"] > 0
    assert wall["LogConfig"]["Config"] == {"max-size": "1m", "max-file": "1"}


SPY = """
import ctypes, os, socket

def run(inputs, workdir):
    found = []
    libc = ctypes.CDLL(None, use_errno=True)
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        pid = int(name)
        if libc.ptrace(16, pid, 0, 0) == 0:  # PTRACE_ATTACH
            found.append("traced %d" % pid)
        for action, label in (
            (lambda: os.kill(pid, 0), "can signal"),
            (lambda: open("/proc/%d/mem" % pid, "rb"), "can read"),
            (lambda: os.readlink("/proc/%d/cwd" % pid), "knows the folder of"),
            (lambda: open("/proc/%d/environ" % pid, "rb").read(), "knows the variables of"),
        ):
            try:
                action()
                found.append("%s %d" % (label, pid))
            except OSError:
                pass
    for path in inputs["sockets"].split():
        try:
            socket.socket(socket.AF_UNIX).connect(path)
            found.append("connected to " + path)
        except OSError:
            pass
    return {"found": ", ".join(found), "seen": len(os.listdir("/proc"))}
"""
VICTIM = "import time\ndef run(i, w):\n    time.sleep(3)\n    return {'fine': True}\n"


def test_jobs_cannot_touch_each_other_or_the_worker(opened: Opened) -> None:
    """A job cannot trace, signal, read or find another job, its session or the worker."""
    with ThreadPoolExecutor(1) as pool:
        victim = pool.submit(run, opened, VICTIM)
        time.sleep(1.0)
        seen = run(opened, SPY, inputs={"sockets": opened[1].socket})
        assert seen.values["found"] == ""
        assert victim.result().values["fine"] is True


LEAVE = """
import os
def run(inputs, workdir):
    for place in ("/tmp", "/dev/shm"):
        os.mkdir(place + "/left")
        open(place + "/left/secret", "w").write("x")
        os.chmod(place + "/left", 0)
        open(place + "/left-too", "w").write("x")
    return {"uid": os.getuid()}
"""
FIND = """
import os
def run(inputs, workdir):
    found = [n for place in ("/tmp", "/dev/shm") for n in os.listdir(place)]
    return {"found": " ".join(found), "uid": os.getuid()}
"""


def test_nothing_passes_from_job_to_job(opened: Opened) -> None:
    """Jobs of one session have different uids, and what one leaves in shared places is removed."""
    with Session(opened[0].connect(opened[1])) as session:
        first, second = session.run(job(LEAVE)), session.run(job(FIND))
    assert second.values["found"] == ""
    assert first.values["uid"] != second.values["uid"]


def test_megabytes_travel_unchanged(opened: Opened) -> None:
    """Arrays of megabytes pass the relay and the multiplexed stream bit by bit, both ways."""
    data = np.random.default_rng(0).integers(0, 256, 8 << 20, dtype=np.uint8)
    source = "def run(i, w):\n    return {'back': i['x'][::-1]}\n"
    answer = run(opened, source, inputs={"x": data})
    np.testing.assert_array_equal(answer.values["back"], data[::-1])


def _elsewhere(endpoint: Endpoint, image: str, answers: Any) -> None:
    with DockerEngine(image=lambda *_: image) as engine:
        answers.put(run((engine, endpoint), "def run(i, w):\n    return {'x': 7}\n").values["x"])


def test_another_process_connects_with_the_endpoint_alone(opened: Opened) -> None:
    """An xdist worker needs only the endpoint; closing its engine leaves the container alone."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    other = context.Process(target=_elsewhere, args=(opened[1], "unused", answers))
    other.start()
    assert answers.get(timeout=60) == 7
    other.join()
    run(opened, "def run(i, w):\n    return {}\n")


def test_last_worker_takes_its_container(
    open_docker: Callable[[], DockerEngine], numpy_key: WorkerKey
) -> None:
    """Two workers share a container; it goes with the last, and the next start makes a new one."""
    with open_docker() as engine:
        client = open_client()
        first, second = engine.start(numpy_key), engine.start(numpy_key)
        assert first.place == second.place
        assert first.socket != second.socket
        engine.stop(first)
        engine.stop(first)
        run((engine, second), "def run(i, w):\n    return {}\n")
        with pytest.raises(WorkerError):
            Session(engine.connect(first))
        engine.stop(second)
        assert first.place not in containers(client)
        third = engine.start(numpy_key)
        assert third.place != first.place
    engine.close()
    assert third.place not in containers(client)
    with pytest.raises(EngineError, match="closed"):
        engine.start(numpy_key)


def test_a_container_that_ended_is_replaced(
    open_docker: Callable[[], DockerEngine], numpy_key: WorkerKey
) -> None:
    """After the engine has restarted (it ends all containers) workers are started in a new one."""
    with open_docker() as engine:
        old, other = engine.start(numpy_key), engine.start(numpy_key)
        with Session(engine.connect(old)) as session:
            remove(open_client(), old.place)
            with pytest.raises(WorkerError, match="hung up"):
                session.run(job("def run(i, w):\n    return {}\n"))
        with pytest.raises(WorkerError, match="no worker answers"):
            engine.connect(old)
        engine.stop(old)
        new = engine.start(numpy_key)
        assert new.place != old.place
        engine.stop(other)
        run((engine, new), "def run(i, w):\n    return {}\n")


class Stuck:
    """A container that the engine does not remove."""

    def __init__(self, asked: list["Stuck"]) -> None:
        self._asked = asked

    def remove(self) -> None:
        """Fail as an engine that is gone does."""
        self._asked.append(self)
        raise DockerError("the engine does not answer")


def test_close_tries_every_container(open_docker: Callable[[], DockerEngine]) -> None:
    """An engine that fails to remove one container is still asked to remove the others."""
    engine, asked = open_docker(), list[Stuck]()
    boxes = [_Box(container=Stuck(asked)) for _ in "ab"]  # type: ignore[arg-type]
    engine._boxes = {("a", "cpu"): boxes[0], ("b", "cpu"): boxes[1]}
    with pytest.raises(DockerError, match="does not answer"):
        engine.close()
    assert len(asked) == 2
    assert [box.container for box in boxes] == [None, None]


def test_connections_leave_no_descriptor(opened: Opened) -> None:
    """Connection after connection, this process has as many descriptors as before."""

    def used() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    run(opened, "def run(i, w):\n    return {}\n")
    before = used()
    for _ in range(10):
        run(opened, "def run(i, w):\n    return {}\n")
    assert used() <= before + 1


def test_the_owner_is_this_machine_and_does_not_tell_its_identity() -> None:
    """Machines of one name on one engine do not sweep each other; the identity stays private."""
    path = Path("/etc/machine-id")
    assert len(_owner().split()) == (3 if path.exists() else 2)
    if path.exists():
        assert path.read_text().strip() not in _owner()


def test_a_failing_import_is_told(
    open_docker: Callable[[], DockerEngine], numpy_key: WorkerKey
) -> None:
    """A worker that cannot import says so, by name, and its container goes."""
    key = WorkerKey(
        environment=numpy_key.environment, device="cpu", profile="native",
        preload=("no_such_framework",), variables={},
    )  # fmt: skip
    with open_docker() as engine:
        before = containers(open_client())
        with pytest.raises(WorkerError, match="no_such_framework"):
            engine.start(key)
        assert containers(open_client()) <= before


HOST = """
import sys, time
from pathlib import Path
from paritylab import catalog
from paritylab.engines.docker import DockerEngine
from paritylab.model import Limits, WorkerKey
from paritylab.wire import Job, Session
loaded = catalog.load(Path(sys.argv[2]), labs=("multiply",), environments=("tf2",))
key = WorkerKey(environment=loaded.environments["tf2"], device="cpu", profile="native",
                preload=(), variables={})
given = {"image": lambda *_: sys.argv[1]} if sys.argv[1] else {"base": "bootstrap"}
with DockerEngine(**given) as engine:
    endpoint = engine.start(key)
    print(endpoint.place, flush=True)
    source = "import time\\ndef run(i, w):\\n    time.sleep(600)\\n"
    job = Job(id="x", file="x.py", source=source, stages=("run",), inputs={},
              limits=Limits(seconds=600), seed=0, profile="native")
    with Session(engine.connect(endpoint)) as session:
        session.run(job)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_host(
    sign: signal.Signals, open_docker: Callable[[], DockerEngine]
) -> None:
    """However the host process ends, by kill -9 or Ctrl-C, its container ends with it."""
    open_docker().close()  # skips when there is no engine
    project = Path(__file__).parent.parent.parent
    image = os.environ.get("PARITYLAB_TEST_IMAGE", "")
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, image, str(project)], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        assert host.stdout is not None
        place = host.stdout.readline().decode().strip()
        client = open_client()
        assert place in containers(client)
        time.sleep(0.5)
        host.send_signal(sign)
        host.wait(20)
        assert soon(lambda: place not in containers(client))
    finally:
        host.kill()
        host.wait()


def test_sweep_removes_only_what_is_dead(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose run is dead goes; those of living runs and other machines stay."""
    endpoint = opened[1]
    client = open_client()
    image = client.containers.get(endpoint.place).image.id

    def left(**changed: str) -> Container:
        labels = run_labels() | {f"paritylab.{name}": value for name, value in changed.items()}
        with monkeypatch.context() as patch:
            patch.setattr("paritylab.engines.sandbox.run_labels", lambda: labels)
            return Container(client, image, None)

    parent = str(os.getppid())
    neighbour = left(run="another", pid=parent, started=_started(parent))
    dead, reused = left(pid="4194305"), left(started="1")
    earlier, elsewhere = left(boot="another"), left(owner="another", pid="4194305")
    try:
        swept = sweep(client)
        assert {dead.id, reused.id, earlier.id} <= set(swept)
        assert {elsewhere.id, neighbour.id} <= containers(client)
        assert endpoint.place in containers(client)
    finally:
        for container in (dead, reused, earlier, elsewhere, neighbour):
            remove(client, container.id)
            container.remove()


def test_no_engine_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Docker engine the error says what to type, and offers the way without Docker."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(DockerError) as told:
        DockerEngine()
    assert "/nowhere/docker.sock" in str(told.value)
    assert "systemctl start docker" in str(told.value)
    assert "nox -s lab" in str(told.value)


def test_an_engine_that_hangs_up_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Something that listens and is no Docker engine gives a DockerError too."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(path)
        listener.listen()

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    listener.accept()[0].close()

        pool.submit(hang_up)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        with pytest.raises(DockerError, match="cannot be used"):
            DockerEngine()
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_no_permission_is_told_with_the_command() -> None:
    """A user outside the socket's group is told how to get in."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "it worked"
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            open_client()
        except BaseException as fault:
            text = f"{type(fault).__name__}: {fault}"
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    told = os.read(reader, 65536).decode()
    os.close(reader)
    assert told.startswith("DockerError: ")
    assert "usermod -aG docker" in told
