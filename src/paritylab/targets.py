"""What the environments' wheels are for: CPython on x86-64 Linux with glibc 2.28 or newer."""

from __future__ import annotations

from packaging.tags import Tag, compatible_tags, cpython_tags

UV_PLATFORM = "x86_64-manylinux_2_28"
LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Names that manylinux platforms had before they were called by glibc's minor version."""


def platforms() -> list[str]:
    """Return the platform tags that such a machine accepts, best first."""
    names: list[str] = []
    for minor in range(28, 4, -1):
        names.append(f"manylinux_2_{minor}_x86_64")
        if minor in LEGACY:
            names.append(f"{LEGACY[minor]}_x86_64")
    return [*names, "linux_x86_64"]


def abis(python: str) -> list[str]:
    """Return the ABI tags of a Python version such as ``3.11``, best first."""
    nodot = python.replace(".", "")
    # "m" (pymalloc) was part of the name until 3.7.
    own = f"cp{nodot}m" if _version(python) < (3, 8) else f"cp{nodot}"
    return [own, "abi3", "none"]


def tags(python: str) -> list[Tag]:
    """Return every wheel tag that fits, best first."""
    version = _version(python)
    own = abis(python)[0]
    interpreter = f"cp{python.replace('.', '')}"
    return [
        *cpython_tags(version, abis=[own], platforms=platforms()),
        *compatible_tags(version, interpreter=interpreter, platforms=platforms()),
    ]


def pip_flags(python: str) -> list[str]:
    """Return the arguments that make ``pip download`` fetch for ``python``, whatever runs pip."""
    flags = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    flags += [f"--abi={abi}" for abi in abis(python)]
    return flags + [f"--platform={platform}" for platform in platforms()]


def _version(python: str) -> tuple[int, int]:
    major, minor = python.split(".")
    return int(major), int(minor)
