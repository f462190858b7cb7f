"""model: words that thousands of results are made of."""

import copy
import math
import pickle
import tracemalloc
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from synthetic import cell, result

from paritylab.model import CellResult, Shared, shared

FIGURES = {"doubled": 0.0}


def named(name: str, **facts: Any) -> CellResult:
    """A green result with figures of its own."""
    known = result(cell("train", "tf2", "tf2"))
    return replace(known, cell=name, max_error=dict(FIGURES), versions={"numpy": "2"}, **facts)


def test_results_with_the_same_figures_hold_them_once() -> None:
    """Ten thousand cells of a portable profile have the same errors, versions and empty fields."""
    one, other = named("a"), named("b", digest="".join(["ab"] * 32), recorded_digest="ab" * 32)
    assert one.max_error == FIGURES
    for field in ("max_error", "versions", "curves", "texts", "max_ulp"):
        assert getattr(one, field) is getattr(other, field)
    assert other.recorded_digest is other.digest


@given(
    st.dictionaries(
        st.sampled_from("ab"),
        st.sampled_from([0, 0.0, -0.0, False, 1, 1.0, True, math.nan, math.inf, "0", "0.0", ""]),
        max_size=2,
    )
)
def test_what_is_equal_but_not_the_same_is_kept_apart(values: dict[str, Any]) -> None:
    """0.0, -0.0, 0 and False are four things in a results.json, and names have an order."""
    again = shared(values)
    assert repr(again) == repr(values)
    assert [type(value) for value in again.values()] == [type(v) for v in values.values()]


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held.__setitem__("x", 1),
        lambda held: held.__delitem__("doubled"),
        lambda held: held.update(x=1),
        lambda held: held.setdefault("x", 1),
        lambda held: held.pop("doubled"),
        lambda held: held.popitem(),
        lambda held: held.clear(),
        lambda held: held.__ior__({"x": 1}),
    ],
)
def test_nobody_changes_what_others_hold(change: Any) -> None:
    """A correction of one cell's figures would be one of all the others'."""
    held = named("a").max_error
    with pytest.raises(TypeError, match="other results hold"):
        change(held)
    assert held == FIGURES


def test_results_can_be_copied_sent_and_taken_apart() -> None:
    """xdist, Dask, notebooks and pictures of labs get results by pickle, copy and asdict."""
    one = named("a", curves={"loss": [1.0, 2.0]}, tolerance_used={"w": math.inf})
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == one
    assert asdict(one)["max_error"] == FIGURES
    adapter = TypeAdapter(CellResult)
    again = adapter.validate_python(adapter.dump_python(one, mode="json", fallback=str))
    assert again.max_error is one.max_error


def test_a_result_takes_less_than_a_kibibyte() -> None:
    """Whoever adds a field or a mapping to every cell adds it ten thousand times."""
    count = 1000
    named("warm")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    held = [
        named(f"lab-{n:05}-tf2@tf2-cpu", digest=f"{n:064}", seconds=n / 7, worker_seconds=n / 9)
        for n in range(count)
    ]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == count
    assert (after - before) / count < 1024


def test_cells_and_results_have_no_dictionary_of_their_own() -> None:
    """Neither takes an attribute that the model does not name."""
    of = cell("train", "tf2", "tf2")
    for one in (of, of.lab, result(of)):
        assert not hasattr(one, "__dict__")
    assert isinstance(result(of).curves, Shared)
