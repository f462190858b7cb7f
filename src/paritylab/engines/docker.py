"""Workers in containers: one sandbox per environment and device, nothing mounted from the host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from docker.errors import APIError
from rich.progress import Progress

from paritylab import bases, imagebuild, images, nvidia
from paritylab.engines.base import Channel, Endpoint, Unavailable, no_stack, one_per_stack
from paritylab.engines.dockerclient import explained, open_client
from paritylab.engines.gpuprobe import gpus_in, pieces
from paritylab.engines.multiplex import MultiplexedChannel, raw_socket
from paritylab.engines.sandbox import GONE, HOME, Confines, Container, sweep
from paritylab.engines.streams import BOOT, START_SECONDS, await_ready, start_message
from paritylab.errors import EngineError, HungUpError, WorkerError
from paritylab.gpus import Sighting
from paritylab.imagefacts import PYTHON, VENV
from paritylab.model import Environment, Gpu, WorkerKey
from paritylab.progress import Display
from paritylab.turns import together

_SEND_SECONDS = 30.0
# Joins an exec's stdin and stdout to a worker's socket. It waits to be spoken to (see
# multiplex.raw_socket); either direction's end ends both.
RELAY = """\
import os, signal, socket, sys
sock = socket.socket(socket.AF_UNIX)
os.read(0, 1)
sock.connect(sys.argv[1])
def pump(read, write):
    while True:
        data = read(65536)
        if not data:
            return
        while data:
            data = data[write(data):]
pid = os.fork()
try:
    if pid:
        pump(lambda size: os.read(0, size), sock.send)
    else:
        pump(sock.recv, lambda data: os.write(1, data))
except OSError:
    pass
finally:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    os.kill(pid or os.getppid(), signal.SIGKILL)
    os._exit(0)
"""
ImageOf = Callable[[Any, Environment, str], str]
# What a framework cannot be imported without, by the module that a worker preloads.
_CORE = {
    "torch": ("torch/lib",),
    "tensorflow": ("tensorflow/python", "tensorflow_core/python"),
}


@dataclass(kw_only=True)
class _Box:
    """A sandbox and the workers started in it: socket -> the exec's stream, their lifetime."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    building: threading.Lock = field(default_factory=threading.Lock)
    image: str = ""
    container: Container | None = None
    workers: dict[str, MultiplexedChannel] = field(default_factory=dict)
    started: int = 0


def _empty(box: _Box) -> None:
    """End what is in a box, and forget it even if the engine cannot remove it."""
    for channel in box.workers.values():
        channel.close()
    box.workers.clear()
    gone, box.container = box.container, None
    if gone:
        gone.remove()


class DockerEngine:
    """Runs workers in sandboxed containers of the environments' images.

    ``base`` says where base images come from (``auto``, ``pull``, ``bootstrap``); ``image`` gives
    the image of a stack instead of ``paritylab.images``. Raises DockerError when no engine
    answers. Removes what dead runs on this machine have left. ``images`` maps each environment and
    device that was prepared or started (``tf2-cpu``) to the id of its image. ``confines`` says how
    much narrower than for our own labs its containers are; then each worker has one of its own,
    in which the framework that it is not for cannot be loaded.
    """

    name = "docker"

    def __init__(
        self,
        base: str = "auto",
        progress: Progress | None = None,
        *,
        image: ImageOf | None = None,
        confines: Confines | None = None,
    ) -> None:
        self._base = base
        self._progress = progress or Display()
        self._image = image or self._ensured
        self._confines = confines
        self.images: dict[str, str] = {}
        self._smallest = ""
        self._local = threading.local()
        self._boxes: dict[tuple[str, str, Gpu | None, str], _Box] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def unavailable(self, key: WorkerKey) -> Unavailable | None:
        """See Engine."""
        return no_stack(key)

    def gpus(self, environment: Environment) -> Sighting:
        """See Engine: asked in a container of the base image, before anything large is fetched."""
        client = self._client()
        looked_for = pieces(client)
        if not any(piece.there for piece in looked_for):
            raise nvidia.refusal(looked_for, where="the Docker engine")
        if not self._smallest:  # later looks come from several threads, while cells run
            with explained("making the base image"), self._progress as progress:
                base = bases.identify(environment, "cuda", mode=self._base, progress=progress)
                self._smallest = bases.provide(client, base, environment, mode=self._base)
        return gpus_in(client, self._smallest, looked_for)

    def prepare(self, keys: list[WorkerKey]) -> None:
        """See Engine: builds the images that are missing, removes what dead runs have left."""
        sweep(self._client())
        tasks = [partial(self._image_of, key) for key in one_per_stack(self, keys)]
        with self._progress:
            together(tasks, stop=imagebuild.halt)

    def command(self, key: WorkerKey) -> list[str]:  # noqa: ARG002 - one for all keys
        """Return what runs in the container as a worker."""
        return [PYTHON, "-s", "-c", BOOT]

    def start(self, key: WorkerKey) -> Endpoint:
        """See Engine."""
        box = self._box(key)
        with box.building:  # minutes, perhaps; close() does not wait for it
            box.image = box.image or self._image_of(key)
        with box.lock:
            self._require_open()
            if box.container and not box.container.runs():  # an engine that restarted ended it
                _empty(box)
            if box.container is None:
                box.container = Container(
                    self._client(),
                    box.image,
                    key.gpu,
                    confines=self._confines,
                    hidden=_foreign(key),
                )
            box.started += 1
            number, path = box.started, f"{HOME}/{key.name}-{box.started}.socket"
            channel = self._exec(box.container.id, self.command(key), key)
            box.workers[path] = channel
        endpoint = Endpoint(engine=self.name, name=key.name, place=box.container.id, socket=path)
        try:
            self._hand_over(key, channel, path=path, number=number)
        except BaseException:
            self.stop(endpoint)
            raise
        return endpoint

    def connect(self, endpoint: Endpoint) -> Channel:
        """See Engine: a relay in the container joins a stream of the API to the socket."""
        command = [PYTHON, "-S", "-E", "-c", RELAY, endpoint.socket]
        channel = self._exec(endpoint.place, command, None)
        try:
            channel.write(b"\n", deadline=time.monotonic() + _SEND_SECONDS)
        except BaseException:
            channel.close()
            raise
        return channel

    def stop(self, endpoint: Endpoint) -> None:
        """See Engine; the last worker takes its container with it."""
        with self._lock:
            boxes = list(self._boxes.values())
        # Looked for without the lock: others may be removing theirs, a third of a second each.
        for box in [box for box in boxes if endpoint.socket in box.workers]:
            with box.lock:
                channel = box.workers.pop(endpoint.socket, None)
                if channel is None:
                    continue
                channel.close()
                if not box.workers:
                    _empty(box)

    def close(self) -> None:
        """See Engine."""
        with self._lock:
            self._closed = True
            boxes = list(self._boxes.values())
            self._boxes.clear()
        with ExitStack() as stack:  # an engine that fails for one may still remove the others
            for box in boxes:
                stack.enter_context(box.lock)
                stack.callback(_empty, box)

    def _client(self) -> Any:
        """One client a thread: the SDK's sessions are not made to be shared."""
        if not hasattr(self._local, "client"):
            self._local.client = open_client()
        return self._local.client

    def _image_of(self, key: WorkerKey) -> str:
        with explained(f"making the image of {key.environment.name}"):
            image = self._image(self._client(), key.environment, key.device)
        self.images[f"{key.environment.name}-{key.device}"] = image
        return image

    def _ensured(self, client: Any, environment: Environment, device: str) -> str:
        return images.ensure(client, environment, device, base=self._base, progress=self._progress)

    def _box(self, key: WorkerKey) -> _Box:
        with self._lock:
            self._require_open()
            apart = key.name if self._confines else ""
            return self._boxes.setdefault(
                (key.environment.name, key.device, key.gpu, apart), _Box()
            )

    def _require_open(self) -> None:
        if self._closed:
            raise EngineError("the docker engine is closed")

    def _exec(
        self, container: str, command: list[str], key: WorkerKey | None
    ) -> MultiplexedChannel:
        api = self._client().api
        variables = {"HOME": HOME, "LANG": "C.UTF-8", **(key.variables if key else {})}
        with explained("a process in the sandbox"):
            try:
                made = api.exec_create(
                    container, command, stdin=True, user="0", workdir=HOME, environment=variables
                )
            except APIError as fault:
                if fault.status_code not in GONE:
                    raise
                raise WorkerError(
                    "no worker answers", where=container[:12], why="its container has ended"
                ) from fault
            return MultiplexedChannel(raw_socket(api.exec_start(made["Id"], socket=True)))

    def _hand_over(
        self, key: WorkerKey, channel: MultiplexedChannel, *, path: str, number: int
    ) -> None:
        deadline = time.monotonic() + START_SECONDS
        caged = self._confines.cage if self._confines else ""
        message = start_message(key, socket_path=path, folder=HOME, uids=number, caged=caged)
        try:
            channel.write(message, deadline=deadline)
            await_ready(lambda size: channel.read(size, deadline=deadline), key)
        except HungUpError as fault:
            fault.why = channel.last_words or fault.why
            raise


def _foreign(key: WorkerKey) -> tuple[str, ...]:
    """The folders of the frameworks that a worker does not preload."""
    packages = f"{VENV}/lib/python{key.environment.python}/site-packages"
    foreign = [core for name, core in _CORE.items() if name not in key.preload]
    return tuple(f"{packages}/{folder}" for core in foreign for folder in core)
