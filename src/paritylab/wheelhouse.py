"""Wheelhouses: a folder per lock that holds exactly its wheels, every one of them checked.

Wheels are fetched by the host's pip with the host's settings, for the environment's Python, into
a store by SHA-256 that all wheelhouses share through hard links. A finished wheel stays, so a run
that was killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress, TaskID

from paritylab import cache, hostpip
from paritylab.commands import Command, Finished, run_each
from paritylab.errors import LabError
from paritylab.locks import Pin, Pins, checked, pins_digest
from paritylab.model import Stack
from paritylab.sources import TOOLS, build_wheel
from paritylab.targets import pip_flags

JOBS = 4
"""Downloads at a time."""
BATCH = 4
"""Packages per pip: starting one costs as much as fetching a small wheel."""
NO_NETWORK = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "Max retries exceeded",
    "Could not connect",
    "Connection to ",
    "SSLError",
    "ProxyError",
    "name resolution",
    "Failed to establish a new connection",
)
"""Words of pip that mean: the index did not answer."""


def ensure(stack: Stack, python: str, progress: Progress) -> Path:
    """Return a folder with exactly the wheels of a stack's lock, fetching what is missing.

    ``python`` is the environment's version (``3.7``); it need not be on this machine. Every wheel
    is hashed at every call. Raises LockError (lock missing or stale) or ImageError (a package
    cannot be had, or is not what the lock says).
    """
    return gather(
        checked(stack, python),
        python=python,
        index=stack.index,
        name=f"{stack.folder.name}-{stack.device}",
        progress=progress,
    )


def gather(pins: Pins, *, python: str, index: str | None, name: str, progress: Progress) -> Path:
    """Return a folder with exactly the wheels of ``pins``; ``name`` is for people."""
    folder = cache.folder("wheelhouses") / f"{name}-{pins_digest(pins)[:12]}"
    with cache.locked(folder):
        task = progress.add_task(f"wheels of {name}", total=len(pins), last="hashing")
        wheels = _verified(pins.values(), progress)
        progress.update(task, completed=len(wheels), last="")
        missing = [pin for pin in pins.values() if pin.name not in wheels]
        if missing:
            progress.update(task, last="fetching")
            fetcher = _Fetcher(python=python, index=index, pins=pins, progress=progress, task=task)
            fetcher.fetch(missing)
            wheels |= _verified(missing, progress)
        _link(folder, wheels.values())
        progress.update(task, completed=len(pins))
    return folder


def fetch_wheels(pins: Sequence[Pin], *, python: str, into: Path) -> None:
    """Download the wheels of ``pins`` into a folder with the host's pip; ImageError on failure."""
    command = _download(pins, python=python, into=into)
    for _, finished in run_each([command], jobs=1):
        if finished.status:
            raise command.failure(finished)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stored(pin: Pin) -> Path | None:
    """Return the wheel of a pin if this machine has it; it is not hashed here."""
    found = [wheel for digest in pin.hashes for wheel in sorted((_store() / digest).glob("*.whl"))]
    return found[0] if found else None


def _store() -> Path:
    return cache.folder("wheels")


def _verified(pins: Iterable[Pin], progress: Progress) -> dict[str, Path]:
    """Return the stored wheel of every pin that has one; drop and name the damaged ones."""
    found = [
        (pin, digest, wheel)
        for pin in pins
        for digest in pin.hashes
        for wheel in sorted((_store() / digest).glob("*.whl"))
    ]
    wheels: dict[str, Path] = {}
    with ThreadPoolExecutor() as pool:
        actual = pool.map(sha256, [wheel for _, _, wheel in found])
        for (pin, digest, wheel), got in zip(found, actual, strict=True):
            if got == digest:
                wheels[pin.name] = wheel
                continue
            wheel.unlink()
            progress.console.print(
                f"[yellow]{wheel.name} in the cache is damaged[/] (SHA-256 {got[:12]}…, the lock "
                f"says {digest[:12]}…): fetched again"
            )
    return wheels


def _keep(wheel: Path) -> int:
    """Move a wheel into the store; return its size in bytes."""
    size, place = wheel.stat().st_size, _store() / sha256(wheel)
    place.mkdir(exist_ok=True)
    os.replace(wheel, place / wheel.name)
    return size


def _link(folder: Path, wheels: Iterable[Path]) -> None:
    folder.mkdir(exist_ok=True)
    wanted = {wheel.name: wheel for wheel in wheels}
    for present in folder.iterdir():
        wheel = wanted.get(present.name)
        if wheel and os.path.samestat(wheel.stat(), present.stat()):
            del wanted[present.name]
        else:
            present.unlink()
    for name, wheel in wanted.items():
        os.link(wheel, folder / name)


def _download(pins: Sequence[Pin], *, python: str, into: Path, index: str | None = None) -> Command:
    into.mkdir(parents=True, exist_ok=True)
    requirements = into / "requirements.txt"
    requirements.write_text("".join(f"{pin.requirement}\n" for pin in pins))
    argv = [*hostpip.command(), "download", "--quiet", "--no-cache-dir", "--no-deps"]
    argv += ["--require-hashes", f"--dest={into}", *pip_flags(python)]
    if index:
        argv += [f"--extra-index-url={index}", "--retries=1", "--timeout=20"]
    return Command(
        argv=[*argv, f"--requirement={requirements}"],
        what=f"cannot fetch {', '.join(f'{pin.name} {pin.version}' for pin in pins)}",
        fix="check the network and pip's settings (`pip config list`), then try again",
    )


@dataclass(frozen=True, kw_only=True)
class _Fetcher:
    """One fetch into the store: batches, then one by one, the extra index, at last the source."""

    python: str
    index: str | None
    pins: Pins
    progress: Progress
    task: TaskID
    fetched: list[int] = field(default_factory=list)

    def fetch(self, missing: Sequence[Pin]) -> None:
        # A built wheel's hash stands beside its archive's; a local version is on no public index.
        alone = [pin for pin in missing if len(pin.hashes) > 1 or "+" in pin.version]
        others = [pin for pin in missing if pin not in alone]
        batches = [[pin] for pin in alone] + [
            others[start : start + BATCH] for start in range(0, len(others), BATCH)
        ]
        with cache.scratch(_store()) as folder:
            left = self._download(batches, folder / "public")
            single = [[pin] for pin in left if len(pin.hashes) == 1]
            left = [pin for pin in left if len(pin.hashes) > 1]
            if single:
                left += self._download(single, folder / "extra", last=True)
            for pin in left:
                self._advance(
                    [pin], _keep(build_wheel(pin, tools=self._tools(folder), into=folder))
                )

    def _download(
        self, batches: Sequence[Sequence[Pin]], folder: Path, *, last: bool = False
    ) -> list[Pin]:
        """Fetch into the store; return the pins that pip found no wheel for."""
        commands = [
            _download(
                batch,
                python=self.python,
                into=folder / str(number),
                index=self.index if last else None,
            )
            for number, batch in enumerate(batches)
        ]
        left: list[Pin] = []
        failures: list[LabError] = []
        for number, finished in run_each(commands, jobs=JOBS):
            if finished.status == 0:
                sizes = [_keep(wheel) for wheel in (folder / str(number)).glob("*.whl")]
                self._advance(batches[number], sum(sizes))
            elif _hopeless(finished, batches[number]):
                raise commands[number].failure(finished)
            elif last:
                failures.append(commands[number].failure(finished))
            else:
                left += batches[number]
        if failures:
            # Only now: what can be had is kept for the next try.
            raise failures[0]
        return left

    def _tools(self, folder: Path) -> Path:
        tools = folder / "tools"
        if not tools.is_dir():
            tools.mkdir()
            wanted = [self.pins[name] for name in TOOLS if name in self.pins]
            for wheel in _verified(wanted, self.progress).values():
                shutil.copy(wheel, tools)
        return tools

    def _advance(self, pins: Sequence[Pin], size: int) -> None:
        # In megabytes, too: one wheel of eighty is half of them all.
        self.fetched.append(size)
        last = f"{pins[-1].name} {pins[-1].version}; {sum(self.fetched) / 1e6:,.0f} MB fetched"
        self.progress.update(self.task, advance=len(pins), last=last)


def _hopeless(finished: Finished, batch: Sequence[Pin]) -> bool:
    """Tell a fault that no other source can mend from a wheel that is not there."""
    if "DO NOT MATCH THE HASHES" in finished.stderr:
        return True
    return len(batch) > 1 and any(words in finished.stderr for words in NO_NETWORK)
