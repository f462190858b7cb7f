"""CUDA on the real Docker engine: what can be proven without a GPU, and what needs one."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from docker.client import DockerClient
from docker.errors import ImageNotFound
from rich.progress import Progress

from paritylab import bases, catalog, cudacheck, images, warmup, worker
from paritylab.engines import gpuprobe, sandbox
from paritylab.engines.docker import DockerEngine
from paritylab.engines.gpuprobe import gpus_in, pieces
from paritylab.errors import LabError, NoGpuError
from paritylab.imagefacts import PYTHON
from paritylab.imageprobe import look_into
from paritylab.matrix import Selection
from paritylab.model import Environment
from paritylab.plan import Options, cells_of, gpus_for
from paritylab.runner import Settings, run_all, worker_keys

pytestmark = pytest.mark.docker
PROJECT = Path(__file__).parents[2]
QUIET = Progress(disable=True)
# What the parent of all jobs does, and what then starts CUDA on purpose.
STARTED = "/tmp/cuda-was-started"
PARENT = """
import os, sys
sys.path.insert(0, "/tmp")
import parent
parent._preload(["{module}"], open("/tmp/warmup.py").read(), True)
print("parent:", os.path.exists("{started}"))
{ask}
print("asked:", os.path.exists("{started}"))
"""
ASK = {
    "torch": "import torch\ntry:\n    torch.cuda.init()\nexcept Exception:\n    pass",
    "tensorflow": "import tensorflow as tf\ntf.config.list_physical_devices('GPU')",
}


@pytest.fixture(scope="module")
def client() -> Iterator[DockerClient]:
    """The engine that answers at the usual place."""
    found = DockerClient.from_env(timeout=600)
    yield found
    found.close()


@pytest.fixture(scope="module", params=["tf1-compat", "tf2"])
def environment(request: pytest.FixtureRequest) -> Environment:
    """Each environment that has CUDA."""
    loaded = catalog.load(PROJECT, labs=("multiply",), environments=(request.param,))
    return loaded.environments[request.param]


@pytest.fixture(scope="module")
def image(client: DockerClient, environment: Environment) -> str:
    """Its CUDA image, where one of today's files has been built: gigabytes, so not by a test."""
    for base in bases.known(environment, "cuda"):
        try:
            return str(client.images.get(images.tag(environment, "cuda", base)).id)
        except ImageNotFound:
            continue
    pytest.skip(f"build it: paritylab images build --device cuda --environment {environment.name}")


def gpus_or_skip() -> None:
    """Skip, with the engine's own reason, where there is no GPU."""
    try:
        with DockerEngine(base="bootstrap", progress=QUIET) as engine:
            engine.gpus(catalog.load(PROJECT, labs=("multiply",)).environments["tf2"])
    except LabError as fault:
        pytest.skip(f"no GPU: {fault.why}")


def test_an_engine_without_gpus_refuses_in_one_message(client: DockerClient) -> None:
    """The engine's own words, what was looked for, and no container is left."""
    looked_for = pieces(client)
    if any(piece.there for piece in looked_for):
        pytest.skip("something of NVIDIA's is here")
    loaded = catalog.load(PROJECT, labs=("multiply",), environments=("tf2",))
    known = [base.reference for base in bases.known(loaded.environments["tf2"], "cuda")]
    there = {name for one in client.images.list() for name in [one.id, *one.attrs["RepoDigests"]]}
    base = next((name for name in known if name in there), None)
    if base is None:
        pytest.skip("no base image here: nox -s images")
    before = {one.id for one in client.containers.list(all=True)}
    with pytest.raises(NoGpuError, match="no GPU can be used") as told:
        gpus_in(client, base, looked_for)
    assert "could not select device driver" in str(told.value)
    assert "missing: the driver" in str(told.value)
    mine = [
        one
        for one in client.containers.list(all=True)
        if one.id not in before and one.attrs["Config"]["Entrypoint"][:1] == ["nvidia-smi"]
    ]
    assert mine == []


def test_every_cuda_library_loads_in_either_order(
    client: DockerClient, environment: Environment, image: str
) -> None:
    """TensorFlow and PyTorch get theirs, each once, in the lock's versions; no GPU is needed."""
    scan, loads = look_into(client, image)
    assert cudacheck.faults(environment.stacks["cuda"], scan, loads) == []
    files = [Path(row.library).name for row in cudacheck.rows(scan, loads)]
    found = {name.partition(".so")[0] for name in files}
    assert {"libcublas", "libcublasLt", "libcudnn", "libcufft", "libnccl", "libcusolver"} <= found
    assert all(load.tensorflow and all(load.tensorflow.values()) for load in loads)


def test_a_look_for_gpus_is_marked_as_ours(
    client: DockerClient, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it removed its container, it leaves one that the next run knows to be ours."""
    seen = []

    def removed(where: DockerClient, container: str) -> None:
        seen.append(where.api.inspect_container(container)["Config"]["Labels"])
        sandbox.remove(where, container)

    monkeypatch.setattr(gpuprobe, "remove", removed)
    with suppress(NoGpuError):
        gpus_in(client, image, pieces(client))
    assert seen
    assert all(sandbox.run_labels().items() <= labels.items() for labels in seen)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_check_that_is_ended_leaves_no_container(
    client: DockerClient, environment: Environment, image: str, sign: signal.Signals
) -> None:
    """Ctrl-C while a probe runs removes its container; what kill -9 leaves, the next run does."""
    pulled = not client.images.get(image).labels["paritylab.base"].startswith("sha256:")
    process = subprocess.Popen(
        [sys.executable, "-m", "paritylab", "images", "check", "--environment", environment.name,
         "--base", "pull" if pulled else "bootstrap"],
        cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    label = f"paritylab.pid={process.pid}"

    def there(**more: str) -> list[str]:
        return [one["Id"] for one in client.api.containers(filters={"label": label, **more})]

    try:
        while not there(status="running"):
            assert process.poll() is None, "no probe had a label of this run"
            time.sleep(0.05)
        process.send_signal(sign)
        process.wait(timeout=60)
        if sign == signal.SIGKILL:
            left = there()
            assert set(left) <= set(sandbox.sweep(client))
            assert left
        assert there(status="exited") + there() == []
    finally:
        process.kill()


@pytest.mark.parametrize("module", sorted(ASK))
def test_the_parent_of_jobs_never_starts_cuda(
    client: DockerClient, image: str, module: str, tmp_path: Path
) -> None:
    """CUDA does not survive a fork: imports and warm-up must not start it. A driver that tells."""
    if not shutil.which("gcc"):
        pytest.skip("needs gcc for a driver that tells who starts it")
    source = Path(__file__).parent / "fake_libcuda.c"
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    program = PARENT.format(module=module, started=STARTED, ask=ASK[module])
    container = client.containers.create(
        image, entrypoint=[PYTHON, "-c", program], command=[], network_mode="none",
        labels={"paritylab.test": str(os.getpid())},
        environment={"LD_LIBRARY_PATH": "/tmp", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"},
    )  # fmt: skip
    try:
        files = {library: "libcuda.so.1", Path(worker.__file__): "parent.py",
                 Path(warmup.__file__): "warmup.py"}  # fmt: skip
        container.put_archive("/tmp", packed(files))
        container.start()
        container.wait(timeout=600)
        said = container.logs().decode(errors="replace")
    finally:
        container.remove(force=True, v=True)
    assert "parent: False" in said, said
    assert "asked: True" in said, said  # the driver that tells would have told


def packed(files: dict[Path, str]) -> bytes:
    """A tar of files under other names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, name in files.items():
            tar.add(path, arcname=name)
    return buffer.getvalue()


@pytest.mark.gpu
@pytest.mark.frameworks
def test_labs_on_a_gpu_are_green_five_times(image: str, environment: Environment) -> None:
    """With a GPU: every PyTorch lab within its tolerance, the same digest in five fresh workers."""
    gpus_or_skip()
    chosen = Selection(
        implementations=("pytorch",), environments=(environment.name,), device="cuda"
    )
    options = Options(selection=chosen, engine="docker", settings=Settings(cold=True))
    cells = cells_of(options)
    digests: dict[str, set[str | None]] = {cell.id: set() for cell in cells}
    with DockerEngine(progress=QUIET, image=lambda *_: image) as engine:
        gpus = gpus_for(cells, options, engine)
        engine.prepare(worker_keys(cells, "portable"))
        for _ in range(5):
            for result in run_all(cells, engine, options.settings, jobs=2, gpus=gpus):
                assert result.verdict.green, result.message
                digests[result.cell].add(result.digest)
    assert {cell: len(found) for cell, found in digests.items()} == dict.fromkeys(digests, 1)
