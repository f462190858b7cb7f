"""Writing locks: what ``nox -s lock`` does."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
import urllib.parse
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename
from rich.progress import Progress

from paritylab import hostpip
from paritylab.commands import Command, run, try_run
from paritylab.errors import LockError, UsageError, nearest
from paritylab.interpreters import uv_command
from paritylab.locks import COMMAND, Pin, header, is_ours, parse_lock
from paritylab.model import Environment, Stack
from paritylab.sources import TOOLS, build_wheel
from paritylab.targets import UV_PLATFORM, tags
from paritylab.wheelhouse import fetch_wheels, sha256

TOOLS_PYTHON = "3.11"
"""What the wheel of docker/tools.lock is chosen for; uv's fits every Python."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One package of a new lock: its pin and what people want to know about it."""

    pin: Pin
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.pin.name}=={self.pin.version}"]
        lines += [f"    --hash=sha256:{digest}" for digest in self.pin.hashes]
        return " \\\n".join(lines) + "".join(f"\n    # {remark}" for remark in self.remarks) + "\n"


def lock_all(
    environments: Mapping[str, Environment],
    only: Collection[str] | None = None,
    *,
    upgrade: bool = False,
    progress: Progress,
) -> list[Path]:
    """Write every lock again, or those of the environments named; return the changed files.

    Raises UsageError for an unknown name, LockError when a lock is not ours or cannot be solved.
    """
    for name in only or ():
        if name not in environments:
            raise UsageError(f"unknown environment `{name}`", why=nearest(name, environments))
    stacks = [
        (environment.stacks[device], environment.python)
        for name, environment in sorted(environments.items())
        if not only or name in only
        for device in sorted(environment.stacks)
    ]
    recipes = {environment.folder.parents[1] / "docker" for environment in environments.values()}
    if not only:
        stacks += [(tools(folder), TOOLS_PYTHON) for folder in recipes if folder.is_dir()]
    task = progress.add_task("locks", total=len(stacks))
    changed = []
    for stack, python in stacks:
        progress.update(task, last=f"solving {stack.folder.name}/{stack.requirements.name}")
        changed += [stack.lock] if compile_stack(stack, python, upgrade=upgrade) else []
        progress.advance(task)
    return changed


def compile_lock(environment: Environment, device: str, *, upgrade: bool = False) -> bool:
    """Solve and write the lock of one stack; see ``compile_stack``."""
    return compile_stack(environment.stacks[device], environment.python, upgrade=upgrade)


def tools(folder: Path) -> Stack:
    """Return what ``docker/tools.in`` says as a stack: the program that install.sh works with."""
    return Stack(
        device="tools",
        folder=folder,
        base="",
        tag="",
        index=None,
        overrides=(),
        packages={},
        lock_digest="",
    )


def compile_stack(stack: Stack, python: str, *, upgrade: bool = False) -> bool:
    """Solve a stack's requirements and write its lock; return True if the file changed.

    Versions of the present lock stay as long as they fit, unless ``upgrade``. Refuses
    (LockError) a file that we did not write.
    """
    where = f"{stack.folder.name}/{stack.lock.name}"
    if stack.lock.exists() and not is_ours(stack.lock):
        raise LockError(
            "the file was not written by us, so it is not overwritten",
            where=where,
            fix=f"move it away, then `{COMMAND}`",
        )
    with tempfile.TemporaryDirectory(prefix="paritylab-lock-") as name:
        folder = Path(name)
        if stack.lock.exists() and not upgrade:
            # An output file that is there already is what uv prefers to keep.
            present = parse_lock(stack.lock).values()
            lines = [f"{pin.name}=={pin.version}\n" for pin in present]
            (folder / "solved.txt").write_text("".join(lines))
        entries = _solve(stack, python, folder)
        text = header(stack, python) + "".join(map(str, entries))
    if stack.lock.exists() and stack.lock.read_text("utf-8") == text:
        return False
    fresh = stack.lock.with_suffix(".lock.new")
    fresh.write_text(text, "utf-8")
    os.replace(fresh, stack.lock)
    return True


def _solve(stack: Stack, python: str, folder: Path) -> list[_Entry]:
    solved, files = folder / "solved.txt", folder / "pylock.toml"
    overrides = folder / "overrides.txt"
    overrides.write_text("".join(f"{line}\n" for line in stack.overrides))
    wanted = [stack.requirements.name, f"--override={overrides}"]
    for indexes in _index_choices(stack):
        command = _compile(stack, python, wanted, solved, indexes=indexes)
        finished = try_run(command)
        if finished.status == 0:
            break
    else:
        raise command.failure(finished)
    # The second run names the files of exactly these versions.
    run(_compile(stack, python, [str(solved), "--no-deps"], files, indexes=indexes))
    packages = tomllib.loads(files.read_text("utf-8"))["packages"]
    return _entries(packages, _reasons(solved.read_text("utf-8")), python, folder)


def _index_choices(stack: Stack) -> list[list[str]]:
    """Return sets of extra indexes, tried in this order until there is a solution.

    As few as possible: a mirror that holds some files of a release hides the better ones of the
    public index, so the same lock would come out differently on another machine; and the stack's
    own index may be out of reach where a folder of wheels already offers what it is there for.
    """
    mirrors = hostpip.settings().get("extra-index-url", "").split()
    choices = [[], mirrors] if mirrors else [[]]
    return choices + ([[*mirrors, stack.index]] if stack.index else [])


def _compile(
    stack: Stack, python: str, arguments: list[str], output: Path, *, indexes: list[str]
) -> Command:
    argv = [uv_command(), "pip", "compile", "--quiet", "--no-header", "--annotation-style=line"]
    argv += [f"--python-version={python}", f"--python-platform={UV_PLATFORM}"]
    pip = hostpip.settings()
    return Command(
        argv=[*argv, *hostpip.uv_flags(pip), f"--output-file={output}", *arguments],
        what=f"{stack.requirements.name} has no solution",
        fix=f"change {stack.folder.name}/{stack.requirements.name}, then `{COMMAND}`",
        error=LockError,
        environment=hostpip.uv_environment(pip, indexes),
        folder=stack.folder,
    )


def _reasons(solved: str) -> dict[str, str]:
    """Return who asked for each package: ``# via`` of uv's one-line annotations."""
    # The file of overrides is ours, for the moment: its place is nobody's business.
    told = re.sub(r"--override \S+overrides\.txt", "overrides", solved)
    matches = re.finditer(r"^([a-z0-9-]+)==\S+\s+# (via .*)$", told, flags=re.MULTILINE)
    return {match[1]: match[2] for match in matches}


def _entries(
    packages: list[dict[str, Any]], reasons: Mapping[str, str], python: str, folder: Path
) -> list[_Entry]:
    entries: dict[str, _Entry] = {}
    sources: list[dict[str, Any]] = []
    for package in packages:
        wheel = _best_wheel(package, python)
        if wheel is None:
            sources.append(package)
            continue
        name, version = package["name"], package["version"]
        pin = Pin(name=name, version=version, hashes=(wheel["hashes"]["sha256"],))
        entries[name] = _Entry(pin=pin, remarks=(_file_name(wheel), reasons.get(name, "via .in")))
    tools = folder / "tools"
    pins = [entries[tool].pin for tool in TOOLS if tool in entries]
    if sources and pins:
        fetch_wheels(pins, python=python, into=tools)
    for package in sources:
        entries[package["name"]] = _from_source(package, reasons, tools, folder)
    return [entries[name] for name in sorted(entries)]


def _best_wheel(package: Mapping[str, Any], python: str) -> Mapping[str, Any] | None:
    """Return the wheel that an installer would take on the environments' platform."""
    order = {tag: rank for rank, tag in enumerate(tags(python))}
    ranked = []
    for wheel in package.get("wheels", ()):
        ranks = [order[tag] for tag in parse_wheel_filename(_file_name(wheel))[3] if tag in order]
        if ranks:
            ranked.append((min(ranks), _file_name(wheel), wheel))
    return min(ranked, key=lambda item: item[:2])[2] if ranked else None


def _from_source(
    package: Mapping[str, Any], reasons: Mapping[str, str], tools: Path, folder: Path
) -> _Entry:
    name, archive = package["name"], package["sdist"]
    pin = Pin(name=name, version=package["version"], hashes=(archive["hashes"]["sha256"],))
    wheel = build_wheel(pin, tools=tools, into=folder)
    both = Pin(name=name, version=pin.version, hashes=(*pin.hashes, sha256(wheel)))
    remark = f"published as source only: {_file_name(archive)} (first hash), from which the host"
    remarks = (remark, f"builds {wheel.name} (second hash), byte for byte", reasons.get(name, ""))
    return _Entry(pin=both, remarks=remarks)


def _file_name(file: Mapping[str, Any]) -> str:
    address = file.get("url") or file.get("path") or ""
    return str(file.get("name") or Path(urllib.parse.unquote(address)).name)
