"""The real frameworks in the pinned virtual environments: what a warm parent must not break."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paritylab import catalog
from paritylab.digest import digest
from paritylab.engines.base import Endpoint
from paritylab.engines.venv import VenvEngine
from paritylab.model import Limits, WorkerKey
from paritylab.scenarios import solve
from paritylab.wire import Job, JobResult, Session

pytestmark = pytest.mark.frameworks
PROJECT = Path(__file__).parent.parent.parent
Opened = tuple[VenvEngine, WorkerKey, Endpoint]

# One step of SGD on the guide's regressor, written for each programming model.
STEPS = {
    "pytorch": """
import torch

def run(inputs, workdir):
    net = torch.nn.Sequential(torch.nn.Linear(10, 20), torch.nn.ReLU(), torch.nn.Linear(20, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.from_numpy(inputs["w1"].T))
        net[2].weight.copy_(torch.from_numpy(inputs["w2"].T))
        net[0].bias.zero_(), net[2].bias.zero_()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.0625)
    loss = torch.mean((net(torch.from_numpy(inputs["x"])) - torch.from_numpy(inputs["y"])) ** 2)
    loss.backward()
    optimiser.step()
    return {"loss": loss.detach().numpy(), "w1": net[0].weight.detach().numpy().T}
""",
    "tf1": """
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()

def run(inputs, workdir):
    with tf.Graph().as_default(), tf.Session() as session:
        x, y = tf.placeholder(tf.float32, [None, 10]), tf.placeholder(tf.float32, [None, 1])
        w1, w2 = tf.Variable(inputs["w1"]), tf.Variable(inputs["w2"])
        loss = tf.reduce_mean((tf.matmul(tf.nn.relu(tf.matmul(x, w1)), w2) - y) ** 2)
        step = tf.train.GradientDescentOptimizer(0.0625).minimize(loss)
        tf.layers.dense(x, 3)  # needs a random initialiser, which op determinism would refuse
        session.run(tf.global_variables_initializer())
        value, _ = session.run([loss, step], {x: inputs["x"], y: inputs["y"]})
        return {"loss": value, "w1": session.run(w1)}
""",
    "tf2": """
import tensorflow as tf

def run(inputs, workdir):
    w1, w2 = tf.Variable(inputs["w1"]), tf.Variable(inputs["w2"])
    optimiser = tf.keras.optimizers.SGD(0.0625)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.matmul(tf.nn.relu(tf.matmul(x, w1)), w2) - y) ** 2)
        optimiser.apply_gradients(zip(tape.gradient(loss, [w1, w2]), [w1, w2]))
        return loss

    value = step(tf.constant(inputs["x"]), tf.constant(inputs["y"]))
    return {"loss": value.numpy(), "w1": w1.numpy()}
""",
}
ENVIRONMENTS = catalog.load(PROJECT, labs=("multiply",)).environments
WORKERS = [
    pytest.param((name, implementation), id=f"{implementation}@{name}")
    for name, environment in ENVIRONMENTS.items()
    for implementation, support in environment.support.items()
    if not support.unsupported
]


def step(implementation: str, profile: str) -> Job:
    """The same data and weights for all."""
    draws = np.random.RandomState(0)
    inputs = {
        "x": draws.rand(32, 10).astype(np.float32), "y": draws.rand(32, 1).astype(np.float32),
        "w1": (draws.rand(10, 20) - 0.5).astype(np.float32),
        "w2": (draws.rand(20, 1) - 0.5).astype(np.float32),
    }  # fmt: skip
    return Job(
        id=implementation, file=f"{implementation}.py", source=STEPS[implementation],
        stages=("run",), inputs=inputs, limits=Limits(), seed=0, profile=profile,
    )  # fmt: skip


def run(engine: VenvEngine, endpoint: Endpoint, job: Job) -> JobResult:
    """Run a job on a connection of its own; it must succeed."""
    with Session(engine.connect(endpoint)) as session:
        answer = session.run(job)
    assert answer.status == "ok", answer
    return answer


def of(*implementations: str) -> list[Any]:
    """The workers that are for one of these."""
    return [worker for worker in WORKERS if worker.values[0][1] in implementations]


@pytest.fixture(scope="module", params=WORKERS)
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """A portable worker of one environment and implementation."""
    name, implementation = request.param
    environment = ENVIRONMENTS[name]
    support = environment.support[implementation]
    key = WorkerKey(
        environment=environment, device="cpu", profile="portable", preload=support.preload,
        variables={**environment.profiles["portable"], **support.variables},
    )  # fmt: skip
    with VenvEngine() as engine:
        if missing := engine.unavailable(key):
            pytest.skip(f"{missing.reason}; {missing.fix}")
        yield engine, key, engine.start(key)


@pytest.fixture
def implementation(request: pytest.FixtureRequest) -> str:
    """The implementation of the worker at hand."""
    return str(request.node.callspec.params["opened"][1])


def test_one_thread_before_the_fork(opened: Opened) -> None:
    """After import and warming, a worker has one thread: no other would survive the fork."""
    engine, key, endpoint = opened
    with Session(engine.connect(endpoint)) as session:
        assert session.hello.threads == 1
        assert set(key.preload) < set(session.hello.versions)


LOOKED = """
from tensorflow.python.eager import context

def run(inputs, workdir):
    return {"asked": context.context()._physical_devices is not None}
"""


@pytest.mark.parametrize("opened", of("tf1", "tf2"), indirect=True)
def test_no_device_is_asked_for_before_the_fork(opened: Opened, implementation: str) -> None:
    """Whoever asks TensorFlow for its devices starts CUDA, which does not survive a fork."""
    engine, _, endpoint = opened
    job = replace(step(implementation, "portable"), source=LOOKED)
    assert run(engine, endpoint, job).values["asked"] is False


def test_forks_train_and_agree(opened: Opened, implementation: str) -> None:
    """Jobs one after another and at once, on several connections, give the same bits."""
    engine, _, endpoint = opened
    job = step(implementation, "portable")
    digests = {digest(run(engine, endpoint, job).values) for _ in range(3)}
    with ThreadPoolExecutor(3) as pool:
        answers = pool.map(lambda _: run(engine, endpoint, job), range(6))
        digests |= {digest(answer.values) for answer in answers}
    assert len(digests) == 1


def test_cold_equals_warm(opened: Opened, implementation: str) -> None:
    """A fresh worker's first job gives the same bits as a warm worker's."""
    engine, key, endpoint = opened
    job = step(implementation, "portable")
    warm = digest(run(engine, endpoint, job).values)
    fresh = engine.start(key)
    try:
        assert digest(run(engine, fresh, job).values) == warm
    finally:
        engine.stop(fresh)


def test_the_step_is_right(opened: Opened, implementation: str) -> None:
    """The loss is NumPy's, to float32."""
    engine, _, endpoint = opened
    job = step(implementation, "portable")
    x, y, w1, w2 = (np.asarray(job.inputs[name], np.float64) for name in ("x", "y", "w1", "w2"))
    expected = np.mean((np.maximum(x @ w1, 0) @ w2 - y) ** 2)
    got = run(engine, endpoint, job).values["loss"]
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6)


@pytest.mark.parametrize("opened", of("tf2"), indirect=True)
def test_train_is_traced_once_as_its_readme_says(opened: Opened) -> None:
    """A traced function that makes variables is traced again: the optimiser has to have its own."""
    lab = catalog.load(PROJECT).labs["train"]
    source = (lab.folder / "tf2.py").read_text()
    for old, new in (
        ("def run(", "traces = []\n\n\ndef run("),
        ("    with tf.GradientTape()", "    traces.append(1)\n        with tf.GradientTape()"),
        ("    return {\n", '    return {\n        "traces": len(traces),\n'),
    ):
        assert source.count(old) == 1
        source = source.replace(old, new)
    job = replace(step("tf2", "portable"), source=source, inputs=solve(lab, 0).inputs)
    engine, _, endpoint = opened
    assert run(engine, endpoint, job).values["traces"] == 1
