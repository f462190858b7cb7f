"""turns: work shared out between threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from paritylab.turns import share_out


def never() -> None:
    """The work is not to be stopped."""
    raise AssertionError("stopped")


def test_every_piece_is_done_once_and_no_hand_is_idle() -> None:
    """Two threads meet at the first pieces: neither could do both alone."""
    meeting = threading.Barrier(2, timeout=10)
    done: list[tuple[str, int]] = []

    def do(hand: str, piece: int) -> None:
        if piece < 2:
            meeting.wait()
        done.append((hand, piece))

    share_out(200, ["a", "b"], do, stop=never)
    assert sorted(piece for _, piece in done) == list(range(200))
    assert {hand for hand, _ in done} == {"a", "b"}


def test_a_matrix_of_any_size_is_one_task_for_each_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A future for each of ten thousand cells would be held until the last one has run."""
    tasks = []
    submit = ThreadPoolExecutor.submit
    monkeypatch.setattr(
        ThreadPoolExecutor, "submit", lambda *args: tasks.append(1) or submit(*args)
    )
    share_out(1000, ["a", "b", "c"], lambda *_: None, stop=never)
    assert len(tasks) == 3


def test_the_first_error_ends_it_and_what_runs_is_told() -> None:
    """The other hand waits for what only ``stop`` brings; nothing else is begun."""
    stopped = threading.Event()
    begun: list[int] = []

    def do(hand: str, piece: int) -> None:
        begun.append(piece)
        if piece == 0:
            assert stopped.wait(10)
        else:
            raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        share_out(100, ["a", "b"], do, stop=stopped.set)
    assert sorted(begun) == [0, 1]


def test_nothing_to_do_is_done_at_once() -> None:
    """No cells, no hands: no error."""
    share_out(0, ["a"], lambda *_: never(), stop=never)
    share_out(0, [], lambda *_: never(), stop=never)
