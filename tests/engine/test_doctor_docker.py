"""doctor on the real engine: what a killed run left is seen, removed, and nothing else."""

import pytest

from paritylab.doctor import Scope, engines, leftovers
from paritylab.engines.sandbox import remove, run_labels
from paritylab.errors import DockerError
from paritylab.imagefacts import KIND

pytestmark = pytest.mark.docker


def test_a_dead_runs_container_is_seen_and_removed() -> None:
    """The one of a living run (this very process) stays."""
    scope = Scope("docker")
    if isinstance(scope.docker, DockerError):
        pytest.skip(str(scope.docker))
    [image, *_] = scope.docker.images.list(filters={"label": KIND}) or pytest.skip("no image")
    living, dead = (
        scope.docker.containers.create(image.id, ["true"], labels={**run_labels(), **changed})
        for changed in ({}, {"paritylab.pid": "4194305"})
    )
    try:
        [line] = leftovers.lines(scope)
        assert not line.ok
        assert line.fix == "paritylab doctor --fix"
        assert dead.id in leftovers.remove(scope)
        left = {one["Id"] for one in scope.docker.api.containers(all=True)}
        assert living.id in left
        assert dead.id not in left
    finally:
        for container in (living, dead):
            remove(scope.docker, container.id)


def test_the_engine_that_answers_is_described() -> None:
    """Version and API of the engine in words, and that it lets us in."""
    scope = Scope("docker")
    if isinstance(scope.docker, DockerError):
        pytest.skip(str(scope.docker))
    [line] = engines.docker(scope)
    assert line.ok
    assert scope.docker.version()["ApiVersion"] in line.found
