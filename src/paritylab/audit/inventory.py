"""What is really installed: every file of an environment with its SHA-256, hashed inside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from docker.client import DockerClient
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from paritylab.audit import inside
from paritylab.commands import Command, run
from paritylab.engines.dockerclient import explained
from paritylab.engines.sandbox import Container
from paritylab.errors import EngineError
from paritylab.imagefacts import PYTHON, VENV

SCRIPT = Path(inside.__file__).read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """An environment's files, by path relative to its root.

    ``files`` maps to (SHA-256, bytes), ``links`` to targets, ``texts`` to the contents of RECORD
    files and the heads of METADATA. ``byte_code`` counts the .pyc files, ``stale`` are those that
    are not of the source beside them; of those that a RECORD lists, ``compiled`` are what that
    source compiles to. ``system`` has the files that tell the base's packages.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    python: str
    files: Mapping[str, tuple[str, int]]
    links: Mapping[str, str]
    texts: Mapping[str, str]
    byte_code: int
    stale: tuple[str, ...]
    compiled: tuple[str, ...]
    unreadable: tuple[str, ...]
    system: Mapping[str, str]


def of_venv(python: Path) -> Inventory:
    """Examine the virtual environment that a Python belongs to; raises EngineError."""
    arguments = ["-I", "-S", "-B", "-c", SCRIPT, str(python.parent.parent), "venv"]
    what = f"the files of {python.parent.parent.name} cannot be examined"
    return _parsed(run(Command(argv=[str(python), *arguments], what=what, error=EngineError)))


def of_image(client: DockerClient, image: str) -> Inventory:
    """Examine an image from inside, in a sandbox; raises DockerError or EngineError."""
    api: Any = client.api
    container = Container(client, image, None)  # files are hashed, nothing is imported: no GPU
    try:
        with explained("an examination of the image's files"):
            command = [PYTHON, "-I", "-S", "-B", "-c", SCRIPT, VENV, "system"]
            made = api.exec_create(container.id, command, user="0")
            said, errors = api.exec_start(made["Id"], demux=True)
            status = api.exec_inspect(made["Id"])["ExitCode"]
    finally:
        container.remove()
    if status:
        why = (errors or b"").decode(errors="replace").strip()[-400:]
        raise EngineError(f"the files of {image[:19]} cannot be examined", why=why)
    return _parsed((said or b"").decode(errors="replace"))


def _parsed(text: str) -> Inventory:
    try:
        return TypeAdapter(Inventory).validate_python(json.loads(text))
    except (ValueError, ValidationError) as fault:
        raise EngineError(
            "the environment's Python gave no inventory", why=str(fault)[:200]
        ) from None
