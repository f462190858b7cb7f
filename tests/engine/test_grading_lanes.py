"""Lanes on the real engine: what a job in a cage can see and leave, in both kinds of isolation."""

import os
import secrets
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from paritylab.engines.docker import DockerEngine
from paritylab.errors import EngineError, UsageError
from paritylab.grade.lanes import GRACE_SECONDS, Isolation, Lane, Trouble
from paritylab.grade.sandboxes import Sandboxes
from paritylab.model import Limits, WorkerKey
from paritylab.wire import Job, JobResult

pytestmark = pytest.mark.docker
LIMITS = Limits(seconds=30.0, memory_mb=512, output_mb=1)
INNOCENT = "def run(inputs, workdir):\n    return {'twice': inputs['x'] * 2}\n"
LOOK = r"""
import ctypes, glob, os, socket
LIBC = ctypes.CDLL(None, use_errno=True)

def allowed(name, *arguments):
    return getattr(LIBC, name)(*arguments) != -1

def seen(pattern):
    return " ".join(sorted(glob.glob(pattern)))

def connects(path):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
    except OSError as fault:
        return type(fault).__name__
    return "connected"

def run(inputs, workdir):
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    found = {
        "pid": os.getpid(), "uid": os.getuid(), "nice": os.nice(0),
        "capabilities": status["CapPrm"].strip() + status["CapEff"].strip(),
        "bound": status["CapBnd"].strip(), "seccomp": status["Seccomp"].strip(),
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
        "tmp": seen("/tmp/*"), "shm": seen("/dev/shm/*"), "mqueue": seen("/dev/mqueue/*"),
        "ipc": sum(len(open("/proc/sysvipc/" + k).readlines()) - 1 for k in ("shm", "sem", "msg")),
        "links": seen("/sys/class/net/*"), "host": os.uname().nodename,
        "sockets": seen("/run/lab/*"),
        "ptrace": allowed("ptrace", 16, 1, 0, 0),
        "unshare": allowed("unshare", 0x10000000),
        "mount": allowed("mount", b"x", b"/tmp", b"tmpfs", 0, b""),
        "sethostname": allowed("sethostname", b"mine", 4),
        "proc_sys": os.access("/proc/sys/kernel/hostname", os.W_OK),
    }
    return found
"""
LEAVE = r"""
import ctypes, os, time
LIBC = ctypes.CDLL(None, use_errno=True)

def run(inputs, workdir):
    for place in ("/tmp", "/dev/shm", "/dev/mqueue"):
        with open(place + "/left", "w"):
            pass
    LIBC.shmget(4711, 4096, 0o1777), LIBC.semget(4711, 1, 0o1777)  # the filter says no
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        while True:
            time.sleep(1)
    return {"done": True}
"""


@pytest.fixture(scope="module")
def boxes(
    open_docker: Callable[[], DockerEngine], numpy_key: WorkerKey
) -> Callable[[Isolation], DockerEngine]:
    """Opens engines whose containers are those of a grading run."""
    with open_docker() as engine:
        engine.prepare([numpy_key])
        (image,) = engine.images.values()

    def opened(isolation: Isolation) -> DockerEngine:
        made = Sandboxes(LIMITS, isolation=isolation)
        made.image = image
        return made.open(isolation)

    return opened


@pytest.fixture(params=list(Isolation))
def lane(
    request: pytest.FixtureRequest,
    boxes: Callable[[Isolation], DockerEngine],
    numpy_key: WorkerKey,
) -> Iterator[Lane]:
    """A prepared lane of either kind."""
    engine = boxes(request.param)
    made = Lane(engine, [numpy_key]).prepare()
    made.isolation, made.engine = request.param, engine  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def fork_lane(
    boxes: Callable[[Isolation], DockerEngine], numpy_key: WorkerKey
) -> Iterator[tuple[Lane, DockerEngine]]:
    """A prepared lane that lives on, and its engine."""
    engine = boxes(Isolation.FORK)
    made = Lane(engine, [numpy_key]).prepare()
    try:
        yield made, engine
    finally:
        made.close()


def job(source: str, seconds: float = 30.0) -> Job:
    """A job of NumPy alone."""
    limits = Limits(seconds=seconds, memory_mb=LIMITS.memory_mb, output_mb=1)
    return Job(
        id="x", file="pytorch.py", source=source, stages=("run",), inputs={"x": np.arange(3.0)},
        limits=limits, seed=0, profile="native",
    )  # fmt: skip


def values(lane: Lane, key: WorkerKey, source: str) -> dict:
    """What a job returns that must be well."""
    answer = lane.run(key, job(source))
    assert isinstance(answer, JobResult), answer
    assert answer.status == "ok", (answer.cause, answer.traceback)
    return dict(answer.values)


def test_a_job_sees_nobody_and_may_nothing(lane: Lane, numpy_key: WorkerKey) -> None:
    """No capability, no way to trace, mount or make namespaces, no file of others, no network."""
    seen = values(lane, numpy_key, LOOK)
    assert seen["uid"] >= 100000
    assert int(seen["capabilities"], 16) == 0
    assert seen["seccomp"] == "2"
    assert not any(seen[k] for k in ("ptrace", "unshare", "mount", "sethostname", "proc_sys"))
    assert (seen["shm"], seen["mqueue"], seen["ipc"], seen["sockets"]) == ("", "", 0, "")
    assert seen["links"].split() in ([], ["/sys/class/net/lo"])
    assert seen["host"] == "lab"
    assert seen["nice"] == 19
    if lane.isolation is Isolation.FORK:  # type: ignore[attr-defined]
        assert int(seen["bound"], 16) == 0
        assert (seen["tmp"], seen["processes"]) == ("", 1)


def test_nothing_is_left_between_submissions(
    fork_lane: tuple[Lane, DockerEngine], numpy_key: WorkerKey
) -> None:
    """Daemons, files in memory, queues and SysV IPC end with the session; its uid is not reused."""
    lane, engine = fork_lane
    uids = [values(lane, numpy_key, LOOK)["uid"]]
    for _ in range(3):
        values(lane, numpy_key, LEAVE)
        lane.clear()  # the next submission's turn
        seen = values(lane, numpy_key, LOOK)
        uids.append(seen["uid"])
        assert (seen["tmp"], seen["shm"], seen["mqueue"], seen["ipc"]) == ("", "", "", 0)
        assert seen["processes"] == 1
        lane.clear()
    assert len(set(uids)) == 4
    _only_ours(engine, lane)


def _only_ours(engine: DockerEngine, lane: Lane) -> None:
    """The engine sees init, cat and the worker, and nobody with a job's uid."""
    (endpoint,) = lane._workers.values()
    deadline = time.monotonic() + 5
    while True:
        found = engine._client().api.top(endpoint.place, "-eo pid,uid,args")["Processes"]
        if len(found) == 3 and all(int(uid) == 0 for _, uid, _ in found):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_jobs_of_a_session_share_no_uid_and_no_folder(lane: Lane, numpy_key: WorkerKey) -> None:
    """A submission's second trial finds nothing that its first one has left."""
    first = values(lane, numpy_key, LOOK)
    values(lane, numpy_key, LEAVE)
    second = values(lane, numpy_key, LOOK)
    assert first["uid"] != second["uid"]
    assert (second["tmp"], second["shm"]) == (first["tmp"], "")


def test_a_lane_in_which_something_was_left_is_refused(
    fork_lane: tuple[Lane, DockerEngine], numpy_key: WorkerKey
) -> None:
    """A stranger's process in the container: the next submission does not run there."""
    lane, engine = fork_lane
    values(lane, numpy_key, INNOCENT)
    (endpoint,) = lane._workers.values()
    api = engine._client().api
    made = api.exec_create(endpoint.place, ["sleep", "600"], user="123456")
    api.exec_start(made["Id"], detach=True)
    lane.clear()
    answer = lane.run(numpy_key, job(INNOCENT))
    assert isinstance(answer, Trouble)
    assert "an earlier session has left process" in str(answer.fault)
    assert (answer.taken, lane.spoilt) == (False, True)


def test_a_flood_of_busy_processes_does_not_hold_the_host(lane: Lane, numpy_key: WorkerKey) -> None:
    """As many as it may have: the host is back within two seconds of the limit, whoever ends them.

    The worker does so itself; on a machine under load the host's own deadline comes first, and
    the sandbox is ended as a whole.
    """
    source = (
        "import os\ndef run(inputs, workdir):\n"
        "    while True:\n        try:\n            os.fork()\n        except OSError:\n"
        "            while True:\n                pass\n"
    )
    began = time.monotonic()
    answer = lane.run(numpy_key, job(source, seconds=2.0))
    # Ending a container takes the engine half a second, and more where others want the cores too.
    crowded = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert time.monotonic() - began < 2.0 + GRACE_SECONDS + 0.5 * crowded
    if isinstance(answer, Trouble):
        assert lane.spoilt
        assert isinstance(answer.fault.__cause__, TimeoutError)
        return
    assert answer.status == "timeout"
    assert values(lane, numpy_key, INNOCENT)["twice"].tolist() == [0, 2, 4]


def test_nothing_in_a_container_knows_the_seed(lane: Lane, numpy_key: WorkerKey) -> None:
    """A job that searches everything it can read does not find the seed of its inputs."""
    seed = secrets.randbelow(2**31) + 2**31
    source = SEARCH.replace("SEED", str(seed ^ 0x55555555))
    wanted = Job(
        id="pytorch", file="pytorch.py", source=source, stages=("run",),
        inputs={"x": np.random.RandomState(seed).rand(3)}, limits=LIMITS, seed=0, profile="native",
    )  # fmt: skip
    answer = lane.run(numpy_key, wanted)
    assert isinstance(answer, JobResult)
    assert answer.status == "ok", (answer.cause, answer.traceback)
    assert answer.values["found"] == ""
    assert answer.values["control"] is True
    assert int(answer.values["searched"]) > 10_000_000


SEARCH = r"""
import os, struct

def memory():
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as mem:
        for line in maps:
            span, mode = line.split()[:2]
            if mode.startswith("rw"):
                low, high = (int(part, 16) for part in span.split("-"))
                mem.seek(low)
                yield mem.read(high - low)

def files():
    for top in ("/proc", "/run", "/tmp", "/dev/shm", "/etc", "/var"):
        for folder, _, names in os.walk(top):
            for name in names if not folder.endswith("/task") else ():
                path = os.path.join(folder, name)
                if not os.path.basename(path) in ("kmsg", "kcore", "pagemap", "mem", "maps"):
                    try:
                        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                    except OSError:
                        continue
                    try:
                        yield os.read(fd, 1 << 20)
                    except OSError:
                        pass
                    finally:
                        os.close(fd)

def run(inputs, workdir):
    marker = b"control" + b"-string"
    pieces = list(memory()) + list(files())
    pieces.append(b"=".join(k + b"=" + v for k, v in os.environb.items()))
    # The number itself is in no place before this line: neither written here nor folded.
    seed = SEED ^ int("55555555", 16)
    text, wide = str(seed).encode(), seed.to_bytes(8, "little")
    digits = struct.pack("=II", seed & 0x3FFFFFFF, seed >> 30)  # as Python keeps an int
    found = [name for name, needle in (("text", text), ("bytes", wide), ("digits", digits))
             if sum(piece.count(needle) for piece in pieces)]
    return {
        "found": " ".join(found), "control": any(marker in piece for piece in pieces),
        "searched": sum(map(len, pieces)),
    }
"""


def test_fork_and_another_runtime_do_not_go_together() -> None:
    """What cannot work is told before anything starts."""
    with pytest.raises(UsageError, match="--isolation fork does not go with --runtime runsc"):
        Sandboxes(LIMITS, isolation=Isolation.FORK, runtime="runsc")


def test_a_runtime_that_the_engine_lacks_is_told() -> None:
    """The name is passed on only if the engine knows it; else: what it knows, what to do."""
    with pytest.raises(EngineError, match="no runtime `warp-drive`") as told:
        Sandboxes(LIMITS, isolation=Isolation.CONTAINER, runtime="warp-drive")
    assert "runc" in str(told.value)


def test_a_runtime_is_passed_on(
    boxes: Callable[[Isolation], DockerEngine], numpy_key: WorkerKey
) -> None:
    """The container says which runtime it has; its limits are those of one submission."""
    opened = Sandboxes(LIMITS, isolation=Isolation.CONTAINER, runtime="runc")
    opened.image = boxes(Isolation.CONTAINER)._image(None, None, None)  # type: ignore[arg-type]
    engine = opened.open(Isolation.CONTAINER)
    lane = Lane(engine, [numpy_key]).prepare()
    try:
        (endpoint,) = lane._workers.values()
        facts = engine._client().api.inspect_container(endpoint.place)["HostConfig"]
        assert facts["Runtime"] == "runc"
        assert facts["Memory"] == facts["MemorySwap"] == (512 + 1024) << 20
        assert facts["NanoCpus"] == 10**9
        assert facts["PidsLimit"] == 512 + 16 * (os.cpu_count() or 1)
        assert set(facts["CapAdd"]) == {"SETUID", "SETGID", "KILL"}
    finally:
        lane.close()
