"""shards, durations: every cell in one part, parts that take equally long, the same every time."""

import time
from itertools import product
from pathlib import Path

import pytest
from conftest import PROJECT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic import cell, result

from paritylab import catalog, durations, matrix
from paritylab.durations import Durations, Timing
from paritylab.errors import UsageError
from paritylab.matrix import Selection
from paritylab.model import IMPLEMENTATIONS, Cell, Verdict
from paritylab.shards import parse, split

EVERY = [
    cell(f"lab{number}", implementation, where)
    for where in ("env-a", "env-b", "env-c")
    for implementation in IMPLEMENTATIONS
    for number in range(6)
]
SECONDS = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 2))


def timed(cells: list[Cell], seconds: list[float], setup: float = 0.0) -> Durations:
    """Durations of the cells, in their order."""
    rows = (
        Timing(cell=one.id, lab=one.lab.slug, environment=one.environment.name, seconds=took)
        for one, took in zip(cells, seconds, strict=False)
    )
    return Durations(timings=tuple(rows), setup=setup)


@given(st.data(), st.integers(1, 12), SECONDS)
@settings(max_examples=60, deadline=None)
def test_every_cell_is_in_one_shard_and_no_shard_is_empty(
    data: st.DataObject, count: int, setup: float
) -> None:
    """Nothing is lost, nothing runs twice, no job is red for want of cells."""
    picked = data.draw(st.lists(st.sampled_from(EVERY), min_size=count, unique_by=id))
    gaps = [
        cell(f"gap{n}", "tf1", "env-a", "no sessions") for n in range(data.draw(st.integers(0, 5)))
    ]
    known = timed(picked, data.draw(st.lists(SECONDS, max_size=len(picked))), setup)
    cells = [*gaps, *picked]
    found = split(cells, count, known)
    assert sorted(c.id for s in found for c in s.cells) == sorted(c.id for c in cells)
    assert all(any(not c.unsupported for c in shard.cells) for shard in found)
    assert [shard.name for shard in found] == [f"{n}/{count}" for n in range(1, count + 1)]
    again = split(cells, count, known)
    assert [(s.split, s.cells) for s in again] == [(s.split, s.cells) for s in found]


@given(st.lists(SECONDS, min_size=3, max_size=7), st.integers(2, 3))
@example([2.0, 12.0, 3.0, 6.0, 5.0, 2.0], 2)  # the shortest first gives 18 here, the best is 15
@settings(max_examples=100, deadline=None)
def test_without_setup_the_longest_shard_is_within_four_thirds_of_the_best(
    seconds: list[float], count: int
) -> None:
    """Graham's bound for LPT, against every possible split."""
    cells = EVERY[: len(seconds)]
    longest = max(s.seconds for s in split(cells, count, timed(cells, seconds)))
    best = min(
        max(sum(t for t, at in zip(seconds, places, strict=True) if at == n) for n in range(count))
        for places in product(range(count), repeat=len(seconds))
    )
    assert longest <= best * (4 / 3 - 1 / (3 * count)) + 0.05  # each shard's seconds are rounded


def test_an_environment_stays_together_while_its_setup_costs_more_than_it_saves() -> None:
    """Three jobs of three environments fetch an image each, not three."""
    known = timed(EVERY, [1.0] * len(EVERY), setup=60.0)
    assert [s.environments for s in split(EVERY, 3, known)] == [("env-a",), ("env-b",), ("env-c",)]
    more = split(EVERY, 9, timed(EVERY, [30.0] * len(EVERY), setup=60.0))
    assert max(len(s.environments) for s in more) == 1
    assert max(s.seconds for s in more) == 60 + 6 * 30


def test_long_cells_of_one_environment_do_not_take_every_job() -> None:
    """The longest cells are often of one environment; the others still get jobs of their own."""
    seconds = [{"env-a": 5.0, "env-b": 1.0, "env-c": 0.9}[c.environment.name] for c in EVERY]
    found = split(EVERY, 3, timed(EVERY, seconds, setup=200.0))
    assert sorted(s.environments for s in found) == [("env-a",), ("env-b",), ("env-c",)]
    committed = durations.read(PROJECT / "labs" / durations.FILE)
    cells = matrix.cells(catalog.load(PROJECT), Selection())
    real = split(cells, 3, committed)
    assert [len(shard.environments) for shard in real] == [1, 1, 1]


@given(st.data())
def test_cells_run_environment_by_environment_the_longest_first(data: st.DataObject) -> None:
    """A run's end waits for short cells; one that cannot run is no reason to wait at all."""
    picked = data.draw(st.lists(st.sampled_from(EVERY), unique_by=id))
    cells = [*picked, cell("gap", "tf1", "env-a", "no sessions")]
    taken = timed(picked, data.draw(st.lists(SECONDS, min_size=len(picked))))
    found = durations.longest_first(cells, taken)
    assert sorted(one.id for one in found) == sorted(one.id for one in cells)
    where = [one.environment.name for one in found]
    assert list(dict.fromkeys(where)) == list(dict.fromkeys(c.environment.name for c in cells))
    assert where == sorted(where, key=list(dict.fromkeys(where)).index)
    seconds = taken.of(cells) | {"gap-tf1@env-a-cpu": 0.0}
    for name in set(where):
        took = [seconds[one.id] for one in found if one.environment.name == name]
        assert took == sorted(took, reverse=True)


def test_a_split_of_ten_thousand_cells_takes_seconds() -> None:
    """Every job of a CI run computes it."""
    cells = [cell(f"lab{n}", "tf1", f"env-{n % 7}") for n in range(10_000)]
    begun = time.process_time()
    found = split(cells, 20, timed(cells, [n % 13 + 1.0 for n in range(10_000)], setup=60.0))
    assert time.process_time() - begun < 20
    assert max(s.seconds for s in found) < 1.1 * min(s.seconds for s in found)


def test_a_split_is_told_apart_by_its_cells_count_and_durations() -> None:
    """Shards of two splits never merge by mistake."""
    known = timed(EVERY, [float(n) for n in range(len(EVERY))])
    digests = [
        split(EVERY, 3, known)[0].split,
        split(EVERY, 4, known)[0].split,
        split(EVERY[1:], 3, known)[0].split,
        split(EVERY, 3, Durations())[0].split,
    ]
    assert len(set(digests)) == 4
    assert len({shard.split for shard in split(EVERY, 3, known)}) == 1


def test_more_shards_than_cells_are_refused_with_the_most_there_can_be() -> None:
    """A job that runs nothing would be red."""
    gap = cell("lab9", "tf1", "env-a", "no sessions")
    with pytest.raises(UsageError, match="5 shards cannot be made of 4 cells") as fault:
        split([*EVERY[:4], gap], 5, Durations())
    assert "--shards 4" in str(fault.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0/2",
        "3/2",
        "1",
        "1/0",
        "1/2/3",
        "-1/2",
        "a/b",
        " 1/2",
        "1/2\n",
        "1/99999999",
        "\u0661/\u0662",
    ],
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    """Only 2/5 is read; there is no shard 0 and none after the last."""
    with pytest.raises(UsageError, match="is no shard"):
        parse(text)
    assert parse("2/5") == (2, 5)


def test_what_was_never_timed_is_guessed_from_its_lab_then_its_environment() -> None:
    """A new lab or environment does not upset the balance; without any record all weigh alike."""
    known = Durations(
        timings=(
            Timing(
                cell=cell("lab1", "tf1", "env-a").id, lab="lab1", environment="env-a", seconds=4
            ),
            Timing(
                cell=cell("lab1", "tf2", "env-a").id, lab="lab1", environment="env-a", seconds=8
            ),
            Timing(
                cell=cell("lab2", "tf1", "env-b").id, lab="lab2", environment="env-b", seconds=1
            ),
        )
    )
    asked = [
        cell("lab1", "tf1", "env-a"),
        cell("lab1", "pytorch", "env-z"),
        cell("lab9", "tf1", "env-b"),
        cell("lab9", "tf1", "env-z"),
    ]
    assert list(known.of(asked).values()) == [4, 6, 1, 4]
    assert set(Durations().of(asked).values()) == {durations.UNKNOWN_SECONDS}


def test_durations_are_written_and_read_back(tmp_path: Path) -> None:
    """The committed file holds what ran, sorted, with the setup that people put there."""
    ran = [result(one, seconds=number + 0.25) for number, one in enumerate(EVERY)]
    gap = result(cell("lab9", "tf1", "env-a", "no sessions"))
    path = tmp_path / "labs" / durations.FILE
    durations.write(path, [gap, *reversed(ran)], before=Durations(setup=12.0))
    found = durations.known(tmp_path)
    assert found.setup == 12.0
    assert {t.cell: t.seconds for t in found.timings} == {r.cell: r.seconds for r in ran}
    assert [t.cell for t in found.timings] == sorted(r.cell for r in ran)
    assert durations.known(tmp_path / "labs") == Durations()


@pytest.mark.parametrize("verdict", [one for one in Verdict if not one.green])
def test_only_green_cells_are_learned_and_the_others_stay_as_they_were(
    tmp_path: Path, verdict: Verdict
) -> None:
    """A cell that died at once is not short; a machine without Python 3.7 knows nothing of tf1."""
    path = tmp_path / durations.FILE
    before = timed(EVERY[:4], [10.0, 20.0, 30.0, 40.0], setup=5.0)
    ran = [result(EVERY[1], 0.1, verdict), result(EVERY[2], 33.0), result(EVERY[9], 0.1, verdict)]
    durations.write(path, ran, before=before)
    found = durations.read(path)
    wanted = {EVERY[0].id: 10.0, EVERY[1].id: 20.0, EVERY[2].id: 33.0, EVERY[3].id: 40.0}
    assert {one.cell: one.seconds for one in found.timings} == wanted
    assert found.setup == 5.0


def test_a_cell_that_did_not_run_tells_no_duration(tmp_path: Path) -> None:
    """Its second of nothing would make the cell weigh nothing once it runs."""
    path = tmp_path / "r.json"
    row = '{"cell": "c", "lab": "l", "environment": "e", "seconds": %s, "verdict": "%s"}'
    rows = [row % (0.0, Verdict.UNSUPPORTED), row % (2.5, Verdict.TIMEOUT)]
    path.write_text(f'{{"schema_version": 1, "cells": [{", ".join(rows)}], "host": {{}}}}')
    assert [one.seconds for one in durations.read(path).timings] == [2.5]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"schema_version": 2, "cells": []}',
        b'{"cells": []}',
        b'{"schema_version": 1, "cells": [{"cell": "c"}]}',
        *(
            b'{"schema_version": 1, "cells": [{"cell":"","lab":"","environment":"","seconds":%s}]}'
            % seconds
            for seconds in (b"-1", b"NaN", b"1e99", b"null")
        ),
        b'{"schema_version": 1, "setup_seconds": -5, "cells": []}',
        b'{"schema_version": 1, "cells": ' + b"[" * 100_000,
    ],
)
def test_files_that_tell_no_durations_are_refused_in_words(tmp_path: Path, content: bytes) -> None:
    """A wrong file is told by its name; no traceback, no silent guess."""
    path = tmp_path / "hostile.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"hostile\.json tells no durations"):
        durations.read(path)
    with pytest.raises(UsageError, match="cannot be read"):
        durations.read(tmp_path / "none.json")
