"""turns: work shared out between threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from paritylab.turns import OverError, go_on, over, share_out, together


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


def test_tasks_done_together_come_back_in_their_order() -> None:
    """Two run at a time (they meet), and what they give is in the order of the tasks."""
    meeting = threading.Barrier(2, timeout=10)

    def task(number: int) -> int:
        meeting.wait()
        return number

    assert together([partial(task, number) for number in range(4)], jobs=2) == [0, 1, 2, 3]


def test_a_single_task_has_the_callers_own_thread() -> None:
    """There Ctrl-C reaches it without anybody's help."""
    assert together([threading.current_thread], jobs=4) == [threading.current_thread()]
    assert together([], jobs=4) == []


def test_one_failure_ends_the_others_at_their_next_look() -> None:
    """The error is the first one; what has not begun never does, what runs hears of it."""
    stopped, running = threading.Event(), threading.Event()
    heard: list[object] = []

    def fails() -> None:
        assert running.wait(10)
        raise ValueError("planted")

    def looks() -> None:
        running.set()
        assert stopped.wait(10), "nobody was told"
        heard.append(over())
        try:
            go_on()
        except OverError:
            heard.append("over")
            raise

    def stop(ended: threading.Event) -> None:
        heard.append(ended)
        stopped.set()

    with pytest.raises(ValueError, match="planted"):
        together([fails, looks, never], jobs=2, stop=stop)
    ended = heard[0]
    assert heard == [ended, ended, "over"]
    assert over() is None


def test_whoever_works_alone_goes_on() -> None:
    """Outside of ``together``, and in a later one, an earlier failure is none."""

    def fails() -> None:
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        together([fails, fails], jobs=1)
    go_on()
    assert together([go_on, go_on], jobs=2) == [None, None]
