"""Wheels for packages that were only ever published as source: built so that bytes repeat."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from paritylab import hostpip
from paritylab.cache import scratch
from paritylab.commands import Command, run
from paritylab.errors import ImageError
from paritylab.interpreters import find, uv_command
from paritylab.locks import Pin

TOOLS = ("setuptools", "wheel", "flit-core", "hatchling", "poetry-core")
"""Build tools; those that a lock pins are what its source archives are built with."""
EPOCH = "1747699200"
"""The one date (2025-05-20) that everything we build carries."""


def build_wheel(pin: Pin, *, tools: Path, into: Path) -> Path:
    """Return the wheel that is built from ``pin``'s source archive; ImageError when it cannot be.

    ``tools`` is a folder with wheels of the build tools; the first hash of ``pin`` is that of the
    archive. The interpreter is the host's: such packages are pure Python. Same archive and same
    tools give the same bytes.
    """
    with scratch(into) as folder:
        python = _build_environment(folder / "venv", tools)
        wanted = folder / "requirements.txt"
        wanted.write_text(pin.requirement + "\n")
        argv = [*hostpip.command(), f"--python={python}", "wheel", "--quiet", "--no-cache-dir"]
        argv += ["--no-deps", "--no-build-isolation", "--no-binary=:all:", "--require-hashes"]
        argv += ["--ignore-requires-python", f"--wheel-dir={folder}", f"--requirement={wanted}"]
        # PYTHONPATH and PYTHONHOME of a developer's shell would reach into the build.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= {"SOURCE_DATE_EPOCH": EPOCH, "PYTHONHASHSEED": "0"}
        what = f"{pin.name} {pin.version} has no wheel, and none can be built from its source"
        run(Command(argv=argv, what=what, environment=environment))
        built = next(folder.glob("*.whl"))
        return canonical(built, into / built.name)


def _build_environment(place: Path, tools: Path) -> Path:
    wheels = sorted(str(wheel) for wheel in tools.glob("*.whl"))
    if not wheels:
        raise ImageError(
            "a package was published as source only, and nothing to build it with is locked",
            fix="add `setuptools` and `wheel` (or its own build tool) to the .in file",
        )
    host = find(f"{sys.version_info[0]}.{sys.version_info[1]}") or Path(sys.executable)
    uv, what = uv_command(), "the folder to build a wheel in cannot be made"
    argv = [uv, "venv", "--quiet", "--no-config", "--python", str(host), str(place)]
    run(Command(argv=argv, what=what))
    python = place / "bin" / "python"
    argv = [uv, "pip", "install", "--quiet", "--no-config", "--offline", "--no-index", "--no-deps"]
    run(Command(argv=[*argv, "--python", str(python), *wheels], what=what))
    return python


def canonical(wheel: Path, target: Path) -> Path:
    """Write ``wheel`` again as ``target`` so that only its content decides its bytes.

    Entries are sorted, undated and stored uncompressed: what zlib makes of the same input differs
    between the libraries that Pythons are linked with.
    """
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w") as out:
        for info in _ordered(source.infolist()):
            entry = zipfile.ZipInfo(info.filename, date_time=(1980, 1, 1, 0, 0, 0))
            executable = (info.external_attr >> 16) & 0o111
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            entry.create_system = 3
            out.writestr(entry, source.read(info), compress_type=zipfile.ZIP_STORED)
    return target


def _ordered(entries: Iterable[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    # RECORD comes last in a wheel, so that an installer finds it at the end.
    files = (entry for entry in entries if not entry.is_dir())
    return sorted(files, key=lambda entry: (entry.filename.endswith("/RECORD"), entry.filename))
