"""SHA-256 over canonical bytes: the identity of inputs and outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from paritylab.model import Value


def canonical(value: Value) -> np.ndarray | str:
    """Return a string as it is, anything else as a C-contiguous little-endian array.

    Python scalars become 0-d arrays of bool, int64 or float64.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return np.array(value, dtype=np.bool_)
    if isinstance(value, int):
        return np.array(value, dtype="<i8")
    array = np.asarray(value)
    order = array.dtype.newbyteorder("<")
    return array.astype(order, order="C", copy=False)


def dtype_name(value: np.ndarray | str) -> str:
    """The dtype as lab.toml writes it: a NumPy name or ``str``."""
    return "str" if isinstance(value, str) else value.dtype.name


def digest(values: Mapping[str, Value]) -> str:
    """Return the SHA-256 hex digest of named values, whatever their order in the mapping.

    Each value contributes its name, dtype, shape and little-endian data, each part prefixed with
    its length, so that no two different mappings share their bytes.
    """
    total = hashlib.sha256()
    for name in sorted(values):
        value = canonical(values[name])
        shape = () if isinstance(value, str) else value.shape
        data = value.encode() if isinstance(value, str) else value.tobytes()
        head = f"{dtype_name(value)}{list(shape)}".encode()
        for part in (name.encode(), head, data):
            total.update(len(part).to_bytes(8, "little"))
            total.update(part)
    return total.hexdigest()
