"""Work shared out between threads, each taking the next piece when it is done with one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


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
