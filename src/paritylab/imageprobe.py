"""A look into a finished image: a program runs in it, without network, GPU or writable disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docker.client import DockerClient

from paritylab import cudaprobe
from paritylab.cudacheck import ORDERS, Load, Scan, libraries, parse_load, parse_scan
from paritylab.engines.sandbox import remove, run_labels
from paritylab.errors import ImageError
from paritylab.imagefacts import PYTHON

LAST_WORDS = 2000


def look_into(client: DockerClient, image: str) -> tuple[Scan, list[Load]]:
    """Return what a CUDA image holds, and what its frameworks load in either order of import.

    Raises ImageError when a framework cannot be imported at all.
    """
    scan = parse_scan(_probe(client, image, ["scan"]))
    wanted = libraries(scan)
    return scan, [
        parse_load(order, _probe(client, image, ["load", order, *wanted])) for order in ORDERS
    ]


def _probe(client: DockerClient, image: str, arguments: Sequence[str]) -> dict[str, Any]:
    source = Path(cudaprobe.__file__).read_text("utf-8")
    container = client.containers.create(
        image, entrypoint=[PYTHON, "-s", "-c", source], command=list(arguments),
        labels=run_labels(), network_mode="none", read_only=True, cap_drop=["ALL"],
        security_opt=["no-new-privileges"], tmpfs={"/tmp": "mode=1777"},  # noqa: S108 - its own
        environment={"CUDA_VISIBLE_DEVICES": "", "HOME": "/tmp"},  # noqa: S108 - likewise
    )  # fmt: skip
    try:
        container.start()
        status = container.wait()["StatusCode"]
        if status:
            words = container.logs(stdout=False).decode(errors="replace")[-LAST_WORDS:]
            raise ImageError(
                f"{' '.join(arguments[:2])} failed in the image",
                where=image,
                why=words.strip() or f"exit status {status}",
            )
        answer: dict[str, Any] = json.loads(container.logs(stderr=False).splitlines()[-1])
    except (ValueError, IndexError) as fault:
        raise ImageError("the probe printed no JSON", where=image, why=str(fault)) from fault
    finally:
        remove(client, str(container.id))
    return answer
