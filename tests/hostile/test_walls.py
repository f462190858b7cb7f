"""Walls that no single run of the grader shows: between containers, and in a shared worker."""

from collections.abc import Iterator

import numpy as np
import pytest
from rich.progress import Progress

from paritylab import catalog
from paritylab.engines.docker import DockerEngine
from paritylab.engines.sandbox import Confines
from paritylab.errors import DockerError
from paritylab.model import Limits, WorkerKey
from paritylab.wire import Job, JobResult, Session

from .conftest import PROJECT

pytestmark = pytest.mark.docker
CONFINES = Confines(memory_mb=1024, cpus=1.0, pids=512, cage="filter")
SOURCE = "import os\ndef run(inputs, workdir):\n"
STASH = """\
    folder = os.path.dirname(os.getcwd())
    number = int(folder.rpartition("-")[2])
    earlier = folder.rpartition("-")[0] + "-%d" % (number - 1)
    found = os.path.exists(earlier + "/stash/inside") or os.path.exists(earlier)
    os.makedirs("../stash")
    open("../stash/inside", "w").close()
    os.chmod("../stash/inside", 0o644)
    os.chmod("../stash", 0o111)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    return {"found": found}
"""


def key() -> WorkerKey:
    """A worker that imports nothing but NumPy."""
    loaded = catalog.load(PROJECT, labs=("multiply",), environments=("tf2",))
    return WorkerKey(
        environment=loaded.environments["tf2"], device="cpu", profile="native", preload=(),
        variables={"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


def opened(confines: Confines | None) -> DockerEngine:
    """An engine of its own, so also a container of its own."""
    try:
        return DockerEngine(base="bootstrap", progress=Progress(disable=True), confines=confines)
    except DockerError as fault:
        pytest.skip(str(fault))


@pytest.fixture
def engines() -> Iterator[tuple[DockerEngine, DockerEngine]]:
    """Two engines with a container each, as two submissions have."""
    with opened(CONFINES) as one, opened(CONFINES) as other:
        yield one, other


def job(body: str) -> Job:
    """A small job."""
    return Job(
        id="job", file="pytorch.py", source=SOURCE + body, stages=("run",), profile="native",
        inputs={"x": np.arange(3.0)}, seed=0, limits=Limits(seconds=20.0, memory_mb=256),
    )  # fmt: skip


def answer(session: Session, body: str) -> dict[str, object]:
    """What a job returns."""
    result = session.run(job(body))
    assert isinstance(result, JobResult)
    assert result.status == "ok", result
    return dict(result.values)


def test_containers_share_no_uid(engines: tuple[DockerEngine, DockerEngine]) -> None:
    """The kernel counts a uid's processes over all containers.

    With one uid in two of them a fork bomb in the first keeps an honest job in the second from
    starting a thread.
    """
    uids = []
    for engine in engines:
        with Session(engine.connect(engine.start(key()))) as session:
            uids += [answer(session, "    return {'uid': os.getuid()}\n")["uid"] for _ in range(2)]
    assert len(set(uids)) == 4
    assert all(isinstance(uid, int) and uid >= 1000 for uid in uids)


def test_no_job_finds_what_the_last_one_hid_beside_its_folder() -> None:
    """A folder that only passes, and one nested too deeply for recursion, are removed."""
    with opened(None) as engine, Session(engine.connect(engine.start(key()))) as session:
        assert [answer(session, STASH)["found"] for _ in range(3)] == [False] * 3
        left = "    return {'left': '\\n'.join(os.listdir('/dev/shm') + os.listdir('/tmp'))}\n"
        assert answer(session, left)["left"] == ""


def test_a_worker_starts_no_crash_handler() -> None:
    """With a core limit of 0 Linux still starts a handler that core_pattern pipes to."""
    with opened(None) as engine, Session(engine.connect(engine.start(key()))) as session:
        body = "    import resource\n    return {'core': resource.getrlimit(4)[1]}\n"
        assert answer(session, body)["core"] == 1
