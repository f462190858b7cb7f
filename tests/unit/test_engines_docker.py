"""The docker engine against something that answers as an engine does, and then fails."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest
import requests
from conftest import PROJECT
from rich.progress import Progress

from paritylab import catalog
from paritylab.cli import app as cli_app
from paritylab.engines.docker import DockerEngine
from paritylab.errors import EXIT_ENGINE, DockerError
from paritylab.model import Environment, WorkerKey

HEALTHY = {
    "_ping": "OK",
    "version": {"ApiVersion": "1.41"},
    "info": {"Runtimes": {"nvidia": {}}},
    "containers/json": [],
}
REASON = "the disk is on fire"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer the first questions of a run; to the others fail the way that is asked for."""
        what = self.path.partition("?")[0].removeprefix("/v1.41").strip("/")
        if what in HEALTHY:
            self.answer(200, HEALTHY[what])
        elif self.server.refuses:
            self.answer(500, {"message": REASON})
        else:
            self.close_connection = True

    def answer(self, status: int, content: object) -> None:
        """Send JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(params=[True, False], ids=["refuses", "hangs-up"])
def failing(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An engine that is well until it is asked for an image; what is told of it then."""
    path = tmp_path / "socket"
    with ThreadingUnixStreamServer(str(path), _Handler) as server:
        server.refuses = request.param
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield f"refused.*{REASON}" if request.param else "did not answer"
        server.shutdown()


def key(device: str, profile: str = "native") -> WorkerKey:
    """A worker of the real environment tf2 that preloads nothing."""
    loaded = catalog.load(PROJECT, labs=("multiply",), environments=("tf2",))
    return WorkerKey(
        environment=loaded.environments["tf2"], device=device, profile=profile, preload=(),
        variables={},
    )  # fmt: skip


@pytest.mark.parametrize("asked", ["prepare", "start", "gpus"])
def test_an_engine_that_fails_after_its_ping_is_told(failing: str, asked: str) -> None:
    """A run ends with the engine's words and exit code 3, not with a library's exception."""
    one = key("cpu")
    given = {"prepare": [one], "start": one, "gpus": one.environment}
    with DockerEngine("pull", Progress(disable=True)) as engine, pytest.raises(DockerError) as told:
        getattr(engine, asked)(given[asked])
    assert "making the" in told.value.what
    told.match(f"(?s){failing}")


@pytest.mark.parametrize("failing", [True], indirect=True)
def test_what_is_prepared_is_each_stack_once(failing: str) -> None:
    """Two kinds of worker share an image; a device without a stack is told of, and makes none."""
    made = []
    keys = [key(device, what) for device in ("cpu", "tpu") for what in ("native", "portable")]

    def image(_: object, environment: Environment, device: str) -> str:
        made.append(f"{environment.name}-{device}")
        return "sha256:1"

    with DockerEngine("pull", Progress(disable=True), image=image) as engine:
        engine.prepare(keys)
        told = [engine.unavailable(one) for one in keys]
    assert made == ["tf2-cpu"]
    assert told[0] is told[1] is None
    assert (told[2].reason, told[2].fix) == (
        "tf2 has no stack for tpu", "choose another device: cpu, cuda",
    )  # fmt: skip


def test_a_librarys_fault_is_told_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of requests and of the SDK are OSErrors without a number and its words."""

    def fails(**_: object) -> None:
        raise requests.ConnectionError("the engine went away")

    monkeypatch.setattr(cli_app, "app", fails)
    with pytest.raises(SystemExit) as end:
        cli_app.run_app()
    assert end.value.code == EXIT_ENGINE
    assert "this machine: the engine went away" in capsys.readouterr().err
