"""Workers of NumPy alone, on the real Docker engine."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.progress import Progress

from paritylab import catalog
from paritylab.engines.docker import DockerEngine
from paritylab.errors import DockerError
from paritylab.model import WorkerKey

VALID = Path(__file__).parent.parent / "fixtures" / "valid"


@pytest.fixture(scope="session")
def open_docker() -> Callable[[], DockerEngine]:
    """Opens an engine; its image is a given one, or that of the fixture environment."""
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
def tiny_key() -> WorkerKey:
    """The worker of the fixture environment `tiny`: NumPy, nothing preloaded."""
    tiny = catalog.load(VALID).environments["tiny"]
    return WorkerKey(
        environment=tiny, device="cpu", profile="native", preload=(),
        variables={"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
