"""A project of many small labs, and Dask's own programs as hosts, for tests of clusters."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from paritylab import catalog
from paritylab.accept import accept
from paritylab.engines.here import HereEngine
from paritylab.errors import EngineError
from paritylab.matrix import Selection, cells
from paritylab.model import Cell, CellResult
from paritylab.plan import Options
from paritylab.runner import Settings, run_all

JOINED = "Registered to:"


def scheduler(port: int, host: str = "127.0.0.1", **how: Any) -> Any:
    """Dask's scheduler, listening; killed in the end."""
    words = ("--host", host, "--port", str(port), "--no-dashboard")
    return program("dask", "scheduler", *words, until="Scheduler at:", **how)


def host(address: str, *more: str, **how: Any) -> Any:
    """A host of one thread that has joined; killed in the end."""
    words = ("paritylab", "join", address, "--threads", "1", "--", *more)
    return program(*words, until=JOINED, **how)


def options(project: Path) -> Options:
    """Workers of this interpreter."""
    return Options(engine="here", root=project)


def many_cells(
    project: Path, labs: int, *, seconds: float = 0.0, log: Path | None = None
) -> list[Cell]:
    """The supported cells of ``labs`` copies of the fixture's lab; each takes so long.

    Every run of one leaves a line in ``log``.
    """
    names = [f"double-{number:02}" for number in range(labs)]
    line = f"    open({str(log)!r}, 'a').write('ran' + chr(10))\n" if log else ""
    head = f"import time\n\ndef run(inputs, workdir):\n{line}    time.sleep({seconds})\n"
    for name in names:
        folder = project / "labs" / name
        shutil.copytree(project / "labs/double", folder)
        for program in (folder / "pytorch.py", folder / "tf2.py"):
            text = program.read_text()
            program.write_text(text.replace("def run(inputs, workdir):\n", head, 1))
    shutil.rmtree(project / "labs/double")
    loaded = catalog.load(project)
    for name in names:
        accept(loaded.labs[name], [], []).write()
    return [cell for cell in cells(loaded, Selection()) if not cell.unsupported]


def locally(chosen: Sequence[Cell]) -> list[CellResult]:
    """The same cells on this machine alone."""
    engine = HereEngine()
    try:
        return run_all(chosen, engine, Settings(), jobs=2)
    finally:
        engine.close()


def told(results: Sequence[CellResult]) -> list[tuple[object, ...]]:
    """All of a result that must not depend on where it ran."""
    return [
        (one.cell, one.verdict, one.digest, one.message, one.versions, one.texts, one.curves)
        for one in results
    ]


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def program(
    *words: str, until: str, prefix: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A program of Python's ``-m``, from the line that matches ``until`` on; killed in the end."""
    environment = {**os.environ, **(variables or {})}
    command = [*prefix, sys.executable, "-m", *words]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr
        said = []
        for line in process.stderr:
            said.append(line)
            if re.search(until, line):
                break
        else:
            raise AssertionError("".join(said))
        # Nobody reads on, and a full pipe would stop it for ever.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process
        process.terminate()  # it has time to end what it runs
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """End a program and all that it started, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stderr:
        process.stderr.close()


def within(seconds: float, what: Callable[[], list[Any]]) -> list[Any]:
    """What it returns; a desk that waits for ever fails the test instead of stopping all."""
    found: list[list[Any]] = []
    thread = threading.Thread(target=lambda: found.append(what()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, f"nothing within {seconds} s"
    return found[0]


def trouble(what: Callable[[], object]) -> EngineError:
    """The EngineError that it raises."""
    with pytest.raises(EngineError) as caught:
        what()
    return caught.value
