"""digest: identity of named values, independent of what must not count."""

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paritylab.digest import digest


def test_canonical_bytes_are_a_contract() -> None:
    """Recorded digests must hold for years: the bytes, written out here by hand, never change."""
    values = {"b": "hé", "a": np.array([1.0, -2.0], np.float32), "c": 3}
    parts = [
        *(b"a", b"float32[2]", struct.pack("<2f", 1.0, -2.0)),
        *(b"b", b"str[]", b"h\xc3\xa9"),
        *(b"c", b"int64[]", struct.pack("<q", 3)),
    ]
    by_hand = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    assert digest(values) == hashlib.sha256(by_hand).hexdigest()


def test_order_layout_and_byte_order_do_not_count() -> None:
    """The same numbers have the same digest however the host happens to store them."""
    grid = np.arange(6, dtype=np.float32).reshape(2, 3)
    same = [
        {"x": grid, "y": 1},
        {"y": np.int64(1), "x": np.asfortranarray(grid)},
        {"x": grid.astype(">f4"), "y": np.array(1)},
    ]
    assert len({digest(values) for values in same}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": np.zeros(2, np.float32)}, {"x": np.zeros(2, np.float64)}),
        ({"x": np.zeros((2, 1))}, {"x": np.zeros((1, 2))}),
        ({"x": 0.0}, {"x": -0.0}),
        ({"x": 1}, {"x": True}),
        ({"x": 1}, {"y": 1}),
        ({"x": "ab", "y": "c"}, {"x": "a", "y": "bc"}),
        ({"x": np.float32(1)}, {"x": np.nextafter(np.float32(1), np.float32(2))}),
    ],
    ids=["dtype", "shape", "zero-sign", "bool", "name", "boundary", "one-ulp"],
)
def test_any_difference_changes_the_digest(one: dict, other: dict) -> None:
    """dtype, shape, name, boundary and the last bit are all part of the identity."""
    assert digest(one) != digest(other)


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers(-(2**63), 2**63 - 1)))
def test_digest_is_a_function_of_the_values(values: dict) -> None:
    """Insertion order never matters."""
    assert digest(values) == digest(dict(reversed(values.items())))
