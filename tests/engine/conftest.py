"""Workers without a framework, on the real Docker engine.

The image is that of the environment tf2, built if need be; PARITYLAB_TEST_IMAGE names another one
that has a Python with NumPy in /opt/venv.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.progress import Progress

from paritylab import catalog
from paritylab.engines.docker import DockerEngine
from paritylab.errors import DockerError
from paritylab.model import WorkerKey

PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def open_docker() -> Callable[[], DockerEngine]:
    """Opens an engine; its image is a given one, or that of tf2."""
    given = os.environ.get("PARITYLAB_TEST_IMAGE")

    def opened() -> DockerEngine:
        try:
            if given:
                return DockerEngine(image=lambda *_: given)
            return DockerEngine(base="bootstrap", progress=Progress(disable=True))
        except DockerError as fault:
            pytest.skip(str(fault))

    return opened


@pytest.fixture(scope="session")
def numpy_key() -> WorkerKey:
    """A worker that imports nothing but NumPy."""
    loaded = catalog.load(PROJECT, labs=("multiply",), environments=("tf2",))
    return WorkerKey(
        environment=loaded.environments["tf2"], device="cpu", profile="native", preload=(),
        variables={"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
