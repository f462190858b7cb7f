"""An image's lock in two parts, a layer each: the few large packages, and all the others.

A quarter of the packages is nearly all of an image's bytes and of its build. Below everything else,
in a layer of their own, they need not be installed, compiled and committed again for every other
line of the lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from paritylab import atomic, cache
from paritylab.locks import Pin, Pins

LARGE = 1 << 20
"""Bytes of a wheel from which on its package belongs to the foundation."""
FOUNDATION, OTHERS = "foundation", "others"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One layer's share of a lock: its name, its pins, and their wheels."""

    name: str
    pins: Pins
    wheels: tuple[Path, ...]

    @property
    def lock(self) -> Path:
        """The pins as a file of the cache, named by its content."""
        text = "".join(f"{pin.requirement}\n" for pin in self.pins.values())
        path = cache.folder("parts") / hashlib.sha256(text.encode()).hexdigest()[:12]
        return path if path.is_file() else atomic.write(path, text)

    def files(self, shared: Mapping[str, Path]) -> dict[str, Path]:
        """What docker/install.sh reads for this part, by its name in the container."""
        wheels = {f"wheels/{wheel.name}": wheel for wheel in self.wheels}
        return {**shared, "lock": self.lock, **wheels}


def parts(pins: Pins, wheels: Iterable[Path]) -> tuple[Part, Part]:
    """Return the foundation (it may have no pins) and the others."""
    by_name = {canonicalize_name(wheel.name.split("-")[0]): wheel for wheel in sorted(wheels)}
    large = {name for name, wheel in by_name.items() if wheel.stat().st_size >= LARGE}
    below: dict[str, Pin] = {name: pin for name, pin in pins.items() if name in large}
    above: dict[str, Pin] = {name: pin for name, pin in pins.items() if name not in large}
    foundation, others = (
        Part(
            name=name,
            pins=some,
            wheels=tuple(wheel for pin, wheel in by_name.items() if pin in some),
        )
        for name, some in ((FOUNDATION, below), (OTHERS, above))
    )
    return foundation, others
