"""The manifest for Kubernetes: it cannot be applied here, but it can be read."""

import pytest
import yaml
from conftest import PROJECT
from typer.testing import CliRunner

from paritylab.cli.app import app

MANIFEST = PROJECT / "examples/cluster/kubernetes.yaml"


@pytest.fixture
def documents() -> dict[tuple[str, str], dict]:
    """The manifest's objects, by kind and name."""
    found = [one for one in yaml.safe_load_all(MANIFEST.read_text()) if one]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def container(documents: dict, name: str) -> dict:
    """The one container of a deployment."""
    (one,) = documents["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return one


def test_hosts_join_the_service_on_the_port_where_the_scheduler_listens(documents: dict) -> None:
    """Names, labels and ports agree, so that hosts find their scheduler."""
    service = documents["Service", "paritylab-scheduler"]["spec"]
    words = container(documents, "paritylab-host")["command"]
    assert words[:2] == ["paritylab", "join"]
    assert words[2] == f"tcp://paritylab-scheduler:{service['ports'][0]['port']}"
    scheduler = container(documents, "paritylab-scheduler")
    assert scheduler["command"][:2] == ["dask", "scheduler"]
    assert str(service["ports"][0]["port"]) in scheduler["command"]
    for name in ("paritylab-scheduler", "paritylab-host"):
        spec = documents["Deployment", name]["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    labels = documents["Deployment", "paritylab-scheduler"]["spec"]["template"]["metadata"]
    assert service["selector"] == labels["labels"]


def test_what_is_mounted_is_claimed(documents: dict) -> None:
    """The hosts' cache is a volume that the manifest itself asks for."""
    spec = documents["Deployment", "paritylab-host"]["spec"]["template"]["spec"]
    claims = [one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"]]
    assert [("PersistentVolumeClaim", claim) in documents for claim in claims] == [True]
    mounted = {one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
    variables = {one["name"]: one["value"] for one in spec["containers"][0]["env"]}
    assert {variables["PARITYLAB_CACHE"]} == mounted


def test_the_options_that_hosts_are_started_with_exist(documents: dict) -> None:
    """A renamed option would be found by pods that never come up."""
    words = container(documents, "paritylab-host")["command"]
    told = CliRunner().invoke(app, [words[1], "--help"]).output
    assert all(word in told for word in words if word.startswith("--"))
