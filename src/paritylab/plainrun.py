"""What people do without this project: one ``docker run`` of a plain script per cell.

The baseline that warm workers are measured against. The script imports the framework, runs the
cell and exits as every script does; each stage of a lab is a process of its own.
"""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from pathlib import Path
from typing import Any

from paritylab import worker
from paritylab.engines.dockerclient import explained
from paritylab.engines.sandbox import remove, run_labels
from paritylab.errors import EngineError
from paritylab.imagefacts import PYTHON
from paritylab.model import Cell, Value, Values

_JOB = "/job"
_SCRIPT = """\
import importlib, json, pathlib, sys
import values as worker

implementation, stage = sys.argv[1:]
with open("/job/inputs.json") as file:
    descriptors = json.load(file)
inputs = worker.decode_values(descriptors, pathlib.Path("/job/inputs.bin").read_bytes())
module = importlib.import_module(implementation)
found = getattr(module, stage)(inputs, pathlib.Path("/job"))
descriptors, payload = worker.encode_values(found)
pathlib.Path("/job", stage + ".frame").write_bytes(worker.pack({"values": descriptors}, payload))
"""


def docker_run(client: Any, image: str, cell: Cell, inputs: Values) -> dict[str, Value]:
    """Run a cell in a fresh container as a plain script and return its outputs.

    Raises DockerError, and EngineError with the script's last words when it fails.
    """
    key = cell.worker_key("portable")
    with explained("a plain docker run"):
        container = client.containers.create(
            image,
            ["sh", "-c", _commands(cell)],
            working_dir=_JOB,
            environment=dict(key.variables),
            network_mode="none",
            labels=run_labels(),
        )
        try:
            client.api.put_archive(container.id, "/", _archive(cell, inputs))
            container.start()
            code = container.wait()["StatusCode"]
            if code:
                raise EngineError(
                    f"{cell.id}: the plain script exited with {code}",
                    why=container.logs(tail=20).decode("utf-8", "replace").strip(),
                )
            return _outputs(client, container.id, cell)
        finally:
            remove(client, container.id)


def _commands(cell: Cell) -> str:
    line = "{} main.py {} {}"
    return " && ".join(
        line.format(PYTHON, cell.implementation, shlex.quote(stage)) for stage in cell.lab.stages
    )


def _archive(cell: Cell, inputs: Values) -> bytes:
    source = cell.lab.implementations[cell.implementation].source
    assert source  # a cell without one is unsupported
    descriptors, payload = worker.encode_values(inputs, "input")
    files = {
        "main.py": _SCRIPT.encode(),
        "values.py": Path(worker.__file__).read_bytes(),
        source.name: source.read_bytes(),
        "inputs.json": json.dumps(descriptors).encode(),
        "inputs.bin": payload,
    }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        folder = tarfile.TarInfo(_JOB.lstrip("/"))
        folder.type, folder.mode = tarfile.DIRTYPE, 0o777
        tar.addfile(folder)
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{folder.name}/{name}")
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def _outputs(client: Any, container: str, cell: Cell) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for stage in cell.lab.stages:
        chunks, _ = client.api.get_archive(container, f"{_JOB}/{stage}.frame")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            member = tar.extractfile(f"{stage}.frame")
            assert member
            header, payload = worker.read_frame(worker.exactly(member.read))
        found.update(worker.decode_values(header["values"], payload))
    return found
