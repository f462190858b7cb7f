"""Images made twice on the real engine: equal, or told apart file by file."""

import pytest
from docker.client import DockerClient
from test_images import QUIET, client, environment, left_behind, script_of, shared_bases

from paritylab import images, reproduce
from paritylab.stacks import Environment

__all__ = ["client", "environment", "shared_bases"]
pytestmark = pytest.mark.docker


def made_twice(client: DockerClient, environment: Environment) -> reproduce.Reproduction:
    """The environment's image, built twice."""
    return reproduce.image(client, environment, "cpu", base="bootstrap", progress=QUIET)


def tags(client: DockerClient) -> list[str]:
    """Temporary tags that are still there."""
    return [row.tag for row in images.listing(client) if "reproduce-" in row.tag]


def test_an_image_is_the_same_twice_and_as_the_one_in_use(client, environment) -> None:
    """Same id three times; the image in use keeps its tag, the temporary tags are gone."""
    usual = images.ensure(client, environment, "cpu", base="bootstrap", progress=QUIET)
    found = made_twice(client, environment)
    assert found.same
    assert found.first == found.usual == usual
    assert found.differences == ()
    assert client.images.get(found.name).id == usual
    assert not tags(client)
    assert left_behind(client) == []


def test_what_a_careless_recipe_leaves_is_told_by_path(client, environment) -> None:
    """A clock, a random number, a random name, a mode, a date: each with its path."""
    with script_of(environment).open("a") as script:
        script.write(
            "\nhead -c 8 /dev/urandom >/opt/venv/noise; touch -d @1 /opt/venv/noise"
            "\ndate +%N >/opt/venv/clock; touch -d @1 /opt/venv/clock"
            "\nmkdir /opt/venv/folder-$(date +%N)"
            '\necho constant >/opt/venv/dated; touch -d "@$(date +%N)" /opt/venv/dated\n'
        )
    found = made_twice(client, environment)
    assert not found.same
    told = {(one.path, one.what) for one in found.differences}
    assert {
        ("opt/venv/noise", "content"),
        ("opt/venv/clock", "content"),
        ("opt/venv/dated", "modified"),
    } <= told
    assert len([path for path, what in told if "folder-" in path and what == "path"]) == 2
    assert ("opt/venv/dated", "content") not in told
    assert not any("alpha" in path for path, _ in told)
    assert not tags(client)


def test_a_base_is_the_same_twice(environment) -> None:
    """Debian's packages give the same tar, byte for byte, and that of the base in use."""
    found = reproduce.base(environment, QUIET)
    assert found.same
    assert found.first == found.usual
