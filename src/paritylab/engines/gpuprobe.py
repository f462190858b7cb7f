"""GPUs as a Docker engine gives them: a container with all of them tells what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docker.errors import APIError, ContainerError
from docker.types import LogConfig

from paritylab import nvidia
from paritylab.engines.dockerclient import explained
from paritylab.engines.sandbox import gpu_request, remove, run_labels
from paritylab.gpus import SHOWN, Sighting, look
from paritylab.nvidia import Piece

PROBE_SECONDS = 120
# What the engine and NVIDIA's hook say when a container with GPUs cannot start.
REFUSALS = ("could not select device driver", "nvidia-container-cli", "nvidia-ctk", "CDI device")


def pieces(client: Any) -> list[Piece]:
    """Look for all that lies between this engine's containers and a GPU."""
    local = client.api.base_url.startswith("http+docker")  # a Unix socket: the engine runs here
    with explained("a question about its runtimes"):
        info = client.info()
    return [*(nvidia.local_pieces() if local else []), *nvidia.engine_pieces(info, local=local)]


def gpus_in(client: Any, image: str, looked_for: Sequence[Piece]) -> Sighting:
    """Start a container of ``image`` with every GPU and return what nvidia-smi says in it.

    ``image`` needs no more than a C library. Raises NoGpuError with ``looked_for``.
    """
    seen = look(lambda argv: _run(client, image, argv, looked_for))
    if not seen.gpus:
        why = "; ".join(seen.complaints[:SHOWN]) or "nvidia-smi lists no GPU"
        raise nvidia.refusal(looked_for, where="the Docker engine", why=why)
    return seen


def _run(client: Any, image: str, argv: Sequence[str], looked_for: Sequence[Piece]) -> str:
    with explained("a container with every GPU"):
        container = client.containers.create(
            image, entrypoint=list(argv), command=[], user="65534:65534", network_mode="none",
            read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"],
            device_requests=gpu_request(None), labels=run_labels(),
            log_config=LogConfig(type="json-file", config={"max-size": "1m"}),
        )  # fmt: skip
        try:
            container.start()
            container.wait(timeout=PROBE_SECONDS)
            return str(container.logs().decode(errors="replace"))
        except (APIError, ContainerError) as fault:
            said = str(getattr(fault, "explanation", None) or fault)
            if not any(words in said for words in REFUSALS) and argv[0] not in said:
                raise
            raise nvidia.refusal(looked_for, where="the Docker engine", why=said) from fault
        finally:
            remove(client, str(container.id))
