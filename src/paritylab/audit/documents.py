"""JSON as it is written into bundles and read from strangers: one form, no surprises."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from paritylab.errors import BundleError

MAX_BYTES = 128 << 20
"""Bytes of JSON that are parsed at once."""


def dump(data: Any) -> bytes:
    """Return JSON with sorted keys, one space deep; the same data give the same bytes.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def load(data: bytes, *, where: str) -> dict[str, Any]:
    """Return the JSON object in ``data``; raises BundleError that names ``where``.

    Refused: what is no object, NaN and infinities, a key that is there twice, nesting without
    end, numbers without end.
    """
    if len(data) > MAX_BYTES:
        raise BundleError(f"{len(data) >> 20} MiB of JSON; {MAX_BYTES >> 20} are read", where=where)
    try:
        found = json.loads(data, parse_constant=_refused, object_pairs_hook=_once)
    except (ValueError, RecursionError) as fault:
        raise BundleError("it is no JSON", where=where, why=str(fault)) from None
    if not isinstance(found, dict):
        raise BundleError("it is no JSON object", where=where)
    return found


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found
