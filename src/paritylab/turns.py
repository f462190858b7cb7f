"""Work shared out between threads, each taking the next piece when it is done with one.

Python sends Ctrl-C to the main thread alone, and an error stays where it happened. So that neither
leaves others at work for minutes, whoever waits in a thread for something long asks ``go_on``.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_here = threading.local()


class OverError(Exception):
    """Raised by ``go_on`` in what was begun together with what has failed; nobody is told."""


def together(
    tasks: Sequence[Callable[[], T]],
    *,
    jobs: int | None = None,
    stop: Callable[[threading.Event], None] = lambda _: None,
) -> list[T]:
    """Do all tasks, ``jobs`` (a processor each) at a time; return what they give, in their order.

    The first error, or Ctrl-C, ends all of them, as in ``share_out``; ``go_on`` raises in the
    others, and ``stop`` is called with what ``over`` gives in them. A single task is done in the
    caller's own thread, where Ctrl-C reaches it.
    """
    if len(tasks) < 2:
        return [task() for task in tasks]
    ended = threading.Event()
    found: dict[int, T] = {}

    def one(_: int, number: int) -> None:
        _here.over = ended
        found[number] = tasks[number]()

    def end() -> None:
        ended.set()
        stop(ended)

    hands = min(jobs or len(os.sched_getaffinity(0)), len(tasks))
    share_out(len(tasks), range(hands), one, stop=end)
    return [found[number] for number in range(len(tasks))]


@contextmanager
def until(ended: threading.Event) -> Iterator[None]:
    """Let ``go_on`` raise in what this thread does in the block, once ``ended`` is set."""
    before = over()
    _here.over = ended
    try:
        yield
    finally:
        _here.over = before


def over() -> threading.Event | None:
    """What tells this thread that its work is of no more use, if anything does."""
    return getattr(_here, "over", None)


def go_on() -> None:
    """Raise OverError in a thread of ``together``, or in ``until``, whose work is of no use."""
    told = over()
    if told and told.is_set():
        raise OverError


def share_out(
    pieces: int, hands: Sequence[T], do: Callable[[T, int], None], *, stop: Callable[[], None]
) -> None:
    """Call ``do(hand, number)`` for every number below ``pieces``, each hand in its own thread.

    The first error ends it: what has not begun is left, ``stop`` is called so that what runs can
    end, and the error is raised when all threads have. So does Ctrl-C.
    """
    left = deque(range(pieces))

    def work(hand: T) -> None:
        for number in _taken(left):
            do(hand, number)

    # A task for each hand, not for each piece: of ten thousand each would be held to the end.
    with ThreadPoolExecutor(max(1, len(hands))) as pool:
        tasks = [pool.submit(work, hand) for hand in hands]
        try:
            for task in wait(tasks, return_when=FIRST_EXCEPTION).done:
                task.result()
        except BaseException:
            left.clear()
            stop()
            raise


def _taken(left: deque[int]) -> Iterator[int]:
    """Yield what is left until nothing is; several threads take from the same."""
    while True:
        try:
            yield left.popleft()
        except IndexError:
            return
