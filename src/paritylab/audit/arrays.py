"""Outputs of a cell on the disk: one compressed file, named by the digest of what is in it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from paritylab import atomic
from paritylab.digest import canonical, digest
from paritylab.errors import BundleError
from paritylab.model import Value

SUFFIX = ".npz"


def save(folder: Path, values: Mapping[str, Value]) -> str:
    """Write ``values`` into ``folder`` unless they are there; return the file's name."""
    name = digest(values) + SUFFIX
    target = folder / name
    if not target.exists():
        atomic.write(target, to_bytes(values))
    return name


def load(path: Path) -> dict[str, Value]:
    """Read a file of ``save``; raises BundleError when it is broken or not what its name says."""
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise BundleError(
            "cannot be read", where=str(path), why=fault.strerror, fix="audit again"
        ) from None
    return from_bytes(data, path.name)


def to_bytes(values: Mapping[str, Value]) -> bytes:
    """Return ``values`` as a NumPy archive; text becomes an array of one string."""
    buffer = io.BytesIO()
    arrays = {f"v{place}": canonical(values[name]) for place, name in enumerate(sorted(values))}
    # Names of outputs may hold any character; those of members may not.
    np.savez_compressed(buffer, **{"names": np.array(sorted(values), dtype=np.str_), **arrays})  # type: ignore[arg-type]
    return buffer.getvalue()


def from_bytes(data: bytes, name: str) -> dict[str, Value]:
    """Return what ``to_bytes`` was given, held against the digest in ``name``."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            told = archive["names"]
            if told.dtype.kind != "U" or told.shape != (len(archive.files) - 1,):
                raise ValueError("its list of names is none")
            names = [str(one) for one in told]
            values = {one: _value(archive[f"v{place}"]) for place, one in enumerate(names)}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as fault:
        raise BundleError("the outputs are broken", where=name, why=str(fault)) from None
    if digest(values) + SUFFIX != name:
        raise BundleError("the outputs are not those that its name tells", where=name)
    return values


def _value(array: np.ndarray) -> Value:
    return str(array.item()) if array.dtype.kind == "U" else array
