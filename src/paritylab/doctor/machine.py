"""Checks of the machine itself: project, processor, memory, clock, interpreters, tools, disk."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from paritylab import cache, hostpip, interpreters, venvs
from paritylab.commands import Command, try_run
from paritylab.doctor.model import PATIENCE, Line, Scope
from paritylab.errors import LabError
from paritylab.hardware import CPUINFO, cpu_model
from paritylab.model import Limits

VENV_MB = {"cpu": 4_000, "cuda": 16_000}
"""What one environment takes: its wheels and the files they become (measured, rounded up)."""
SPARE_MB = 1_000
"""For results, workers' folders and logs."""
DAY = 86_400.0
NO_PROJECT = "run it in a checkout, or make a course: paritylab new-course PATH"


def project(scope: Scope) -> Iterator[Line]:
    """Labs and environments load."""
    found = scope.project
    if isinstance(found, LabError):
        yield Line(name="project", ok=False, found=found.what, fix=found.fix or NO_PROJECT)
        return
    text = f"{len(found.labs)} labs, {len(found.environments)} environments"
    yield Line(name="project", ok=True, found=text)


def processor(_: Scope) -> Iterator[Line]:
    """The wheels are for Linux on x86-64 with glibc; TensorFlow's use AVX since 1.6."""
    libc, version = platform.libc_ver()
    kind = f"{platform.system()} {platform.machine()}"
    right = kind == "Linux x86_64" and libc == "glibc"
    avx = CPUINFO.exists() and " avx " in f"{_flags()} "
    fix = "use a machine (or a virtual one) with Linux on x86-64 and AVX; on Windows: WSL 2"
    found = f"{cpu_model()}, {kind}, {libc or 'no glibc'} {version}{'' if avx else ', no AVX'}"
    yield Line(name="processor and system", ok=right and avx, found=found, fix=fix)


def _flags() -> str:
    for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return line
    return ""


def cores(_: Scope) -> Iterator[Line]:
    """How many cells run at a time."""
    here = len(os.sched_getaffinity(0))
    yield Line(name="cores", ok=True, found=f"{here} (as many cells run at a time)")


def memory(scope: Scope) -> Iterator[Line]:
    """One cell of the hungriest lab must fit."""
    free = _available_mb()
    found = scope.project
    labs = [] if isinstance(found, LabError) else list(found.labs.values())
    needed = max((lab.limits.memory_mb for lab in labs), default=Limits().memory_mb)
    at_once = min(len(os.sched_getaffinity(0)), free // needed)
    text = f"{free:,} MB free, a cell may take {needed:,} MB"
    fix = "close other programs, or give the machine more memory"
    yield Line(name="memory", ok=at_once >= 1, found=text, fix=fix)
    if 1 <= at_once < len(os.sched_getaffinity(0)):
        fix = f"paritylab run --jobs {at_once}"
        text = f"{at_once} cells fit at a time"
        yield Line(name="memory for all cores", ok=False, found=text, fix=fix, needed=False)


def _available_mb() -> int:
    """What the kernel could give, or less where a control group says so."""
    facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(facts["MemAvailable"].split()[0]) // 1024
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return free if limit == "max" else min(free, (int(limit) - used) >> 20)


def clock(scope: Scope) -> Iterator[Line]:
    """A clock that is behind breaks certificates; one beside the engine's breaks logs."""
    now = time.time()
    found = scope.project
    root = None if isinstance(found, LabError) else found.root
    files = [path.stat().st_mtime for path in root.glob("*/*/*.toml")] if root else []
    behind = max(files, default=0.0) - now
    said = datetime.now(UTC).isoformat(timespec="seconds")
    fix = "sudo timedatectl set-ntp true"
    if behind > DAY:
        text = f"{said}, but files of the project are {behind / DAY:.0f} days newer"
        yield Line(name="clock", ok=False, found=text, fix=fix)
        return
    theirs = scope.engine_facts.get("SystemTime")
    apart = abs(datetime.fromisoformat(theirs).timestamp() - time.time()) if theirs else 0.0
    text = f"{said}; the Docker engine's is {apart:.0f} s apart" if theirs else said
    yield Line(name="clock", ok=apart <= 60, found=text, fix=fix, needed=scope.uses_docker)


def pythons(scope: Scope) -> Iterator[Line]:
    """The interpreter of every environment; images bring their own."""
    found = {e.name: interpreters.find(e.python) for e in scope.environments}
    for one in scope.environments:
        path = found[one.name]
        # Without one environment its cells are unsupported, and the others run.
        needed = scope.engine == "venv" and not any(found.values())
        yield Line(
            name=f"Python {one.python} for {one.name}",
            ok=path is not None,
            found=_homely(path) if path else "not here",
            fix=interpreters.install_command(one.python),
            needed=needed,
        )


def _homely(path: Path) -> str:
    """A path as people write it, and without telling who they are."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def uv(scope: Scope) -> Iterator[Line]:
    """The program that makes virtual environments; it comes with paritylab."""
    fix = "pip install --force-reinstall uv"
    try:
        argv = [interpreters.uv_command(), "--version"]
    except FileNotFoundError:
        yield Line(name="uv", ok=False, found="its program is gone", fix=fix)
        return
    said = try_run(Command(argv=argv, what="uv --version"), timeout=PATIENCE)
    found = (said.stdout or said.stderr).strip()
    yield Line(name="uv", ok=said.status == 0, found=found, fix=fix, needed=scope.engine != "here")


def pip(scope: Scope) -> Iterator[Line]:
    """The host's pip, which fetches wheels by its own settings."""
    argv = [*hostpip.command(), "--version"]
    said = try_run(Command(argv=argv, what="pip --version"), timeout=PATIENCE)
    found = " ".join(said.stdout.split()[:2]) or said.tail
    fix = "python -m ensurepip --upgrade"
    yield Line(name="pip", ok=said.status == 0, found=found, fix=fix, needed=scope.engine != "here")


def compiler(_: Scope) -> Iterator[Line]:
    """torch.compile makes C++; the lab graph-speed tells what it does without."""
    found = next((name for name in ("c++", "g++", "clang++") if shutil.which(name)), None)
    text = f"{found}" if found else "none: torch.compile runs eagerly, audits leave out its shims"
    fix = "sudo apt-get install -y g++"
    yield Line(name="C++ compiler", ok=bool(found), found=text, fix=fix, needed=False)


def cache_disk(scope: Scope) -> Iterator[Line]:
    """Room for what is not made yet."""
    made = [venvs.made(one, scope.device) for one in scope.environments]
    missing = 0 if scope.engine == "here" else made.count(False)
    needed = SPARE_MB + missing * VENV_MB[scope.device]
    folder = cache.folder()
    free = shutil.disk_usage(folder).free // 10**6
    text = f"{free:,} MB free in the cache, {needed:,} MB needed"
    fix = f"paritylab venvs prune; or put the cache elsewhere: PARITYLAB_CACHE=… (now {folder})"
    yield Line(name="disk", ok=free >= needed, found=text, fix=fix)
