"""How long work is shown: bars on a terminal, a line now and then anywhere else, one look for all.

What is shown holds: a bar ends where the work ended, also at an error; what has no known total has
no percentage; time that is left is told only where all steps are of one kind and their pace was
measured. Tasks take three fields: ``last`` (what ended last), ``unit`` (``MB``: amounts are bytes)
and ``alike`` (true: steps of one kind, so that a pace means something).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

from rich.console import Console, ConsoleRenderable
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

EVERY = 10.0
"""Seconds between two lines about a task where no terminal shows a bar; shorter work is silent."""
ENOUGH = 5
"""Steps that must have ended before a pace is told."""
BYTES = "MB"

console = Console(stderr=True)
"""Where everything goes that is not a result; displays that are open together must share it."""


class Results(Console):
    """Where results go: standard output. What it prints stands above a display that is open.

    The display is on standard error; on a terminal both are one screen, and a display that did not
    know of a line would draw over it.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """See rich.console.Console."""
        if not self.file.isatty():
            super().print(*objects, **options)
            return
        with Display.away():
            super().print(*objects, **options)


class Display(Progress):
    """The progress of everything that takes time; open it around the work, as often as needed.

    On a terminal it draws bars and takes them away in the end. Elsewhere (a file, a pipe,
    ``TERM=dumb``) it writes a line with the time of day for each task that runs longer than
    ``every`` seconds, again after each such span, and when the task ends. ``per_second`` is how
    often bars are drawn anew; a benchmark asks for less, since drawing takes a share of a core.
    """

    _drawn: ClassVar[list[Display]] = []

    def __init__(
        self, console: Console = console, *, every: float = EVERY, per_second: float = 10.0
    ) -> None:
        super().__init__(
            *_columns(), console=console, transient=True, expand=True,
            refresh_per_second=per_second,
        )  # fmt: skip
        self._per_second = per_second
        self._opened = 0
        self._teller = _Teller(self, every)

    def start(self) -> None:
        """Begin to show; further calls count, and each needs its ``stop``."""
        self._opened += 1
        if self._opened > 1:
            return
        for task in self.tasks:
            if task.finished or task.stop_time is not None:
                self.remove_task(task.id)
        if draws(self.console):
            self._drawn.append(self)
            self._draw()
        else:
            self._teller.start()

    def stop(self) -> None:
        """Show no more, once as often as ``start``."""
        self._opened -= 1
        if self._opened:
            return
        for task in self.tasks:
            self.stop_task(task.id)
        self.live.stop()
        if self in self._drawn:
            self._drawn.remove(self)
        self._teller.stop()

    @classmethod
    @contextmanager
    def away(cls) -> Iterator[None]:
        """Take what is drawn from the screen, and draw it again below what came meanwhile."""
        drawn = list(cls._drawn)
        for display in reversed(drawn):
            display.live.stop()
        try:
            yield
        finally:
            for display in drawn:
                display._draw()

    def _draw(self) -> None:
        # Always a new one: a Live that is started again erases as many lines as it had last.
        self.live = Live(
            console=self.console, transient=True, auto_refresh=True,
            refresh_per_second=self._per_second, get_renderable=self.get_renderable,
        )  # fmt: skip
        self.live.start(refresh=True)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop; what an error ended is told as such."""
        self._teller.broken = kind is not None
        self.stop()

    def get_renderable(self) -> ConsoleRenderable:
        """The tasks that have room: lines that left the screen could never be taken away.

        What goes on stays, and of what is done the latest.
        """
        tasks = self.tasks
        if not tasks:  # asked for while the display is made: there is no console yet
            return self.make_tasks_table(tasks)
        room = max(1, self.console.height - 1)
        done = [task for task in tasks if task.finished]
        hidden = {task.id for task in done[: max(0, len(tasks) - room)]}
        shown = [task for task in tasks if task.id not in hidden]
        return self.make_tasks_table(shown[-room:])

    def add_task(
        self,
        description: str,
        start: bool = True,
        total: float | None = 100.0,
        completed: int = 0,
        visible: bool = True,
        **fields: Any,
    ) -> TaskID:
        """See rich.progress.Progress; the fields are those of this module."""
        known = {"last": "", "unit": "", "alike": False, **fields}
        return super().add_task(description, start, total, completed, visible, **known)


class Phases(Display):
    """A display of work in phases, of which only ``planned`` knows beforehand how long it is.

    The others are counted, without a total that would have to be taken back.
    """

    def __init__(self, planned: str, console: Console = console, *, every: float = EVERY) -> None:
        super().__init__(console, every=every)
        self._planned = planned
        # The clock runs from the start: a first step may need frameworks to be imported.
        self._waiting = self.add_task(planned, total=None, last="waiting for the first")
        self._known: dict[str, TaskID] = {}

    def tell(self, phase: str, *, done: int, total: int, last: str) -> None:
        """One more step of a phase has ended: the ``done``-th, if it is the first that is told."""
        if phase == self._planned and not self._known:
            self._known[phase] = self._waiting
            self.update(self._waiting, total=total, completed=done, last=last)
            return
        if phase in self._known:
            self.update(self._known[phase], advance=1, last=last)
            return
        if not self._known:  # nothing of the plan was left to do
            self.remove_task(self._waiting)
        for task in self._known.values():  # what a phase left out is no work any more
            self.update(task, total=max(1, self._tasks[task].completed))
        known = total if phase == self._planned else None
        self._known[phase] = self.add_task(phase, total=known, completed=done, last=last)


def draws(where: Console) -> bool:
    """Return whether bars can be drawn there, whatever FORCE_COLOR says of colours."""
    return where.is_interactive and where.file.isatty()


def amount(task: Task) -> str:
    """How far a task is, in words: ``12/84``, ``112/500 MB``, ``12``, ``done``, or nothing."""
    if task.total is None:
        return f"{task.completed:g}" if task.completed else ""
    if task.total <= 1:
        return "done" if task.finished else ""
    if task.fields["unit"] == BYTES:
        return f"{task.completed / 1e6:,.0f}/{task.total / 1e6:,.0f} MB"
    return f"{task.completed:g}/{task.total:g}"


def pace(task: Task) -> str:
    """The time that the rest takes at the measured pace, and the pace; nothing before it is known.

    Such as ``0:02:10 left, 35/min``.
    """
    if not task.fields["alike"] or task.finished or task.completed < ENOUGH or not task.speed:
        return ""
    told = f"{task.speed * 60:.0f}/min"
    left = task.time_remaining
    return told if left is None else f"{timedelta(seconds=int(left))} left, {told}"


def line(task: Task, *, broken: bool = False) -> str:
    """A task in one line, for files and logs; ``broken``: an error ended the work."""
    taken = timedelta(seconds=int(task.finished_time or task.elapsed or 0.0))
    parts = [amount(task), f"after {taken}", pace(task), str(task.fields["last"])]
    told = ", ".join(part for part in parts if part)
    told = f"stopped: {told}" if broken and not task.finished else told
    return f"{time.strftime('%H:%M:%S')} {task.description}: {told}"


class _Words(ProgressColumn):
    """What a function says of a task; ``firm``: never cut, however narrow the terminal."""

    def __init__(self, say: Callable[[Task], str], style: str, *, firm: bool = False) -> None:
        super().__init__(table_column=Column(no_wrap=firm))
        self._say, self._style = say, style

    def render(self, task: Task) -> Text:
        """See rich.progress.ProgressColumn."""
        return Text(self._say(task), style=self._style, no_wrap=True, overflow="ellipsis")


def _columns() -> tuple[ProgressColumn, ...]:
    # The last column has what the others leave: nothing at all on a narrow terminal.
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return (
        _Words(lambda task: task.description, "bold"),
        BarColumn(bar_width=20),
        _Words(amount, "progress.download", firm=True),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        _Words(pace, "progress.remaining"),
        TextColumn("{task.fields[last]}", style="dim", markup=False, table_column=rest),
    )


class _Teller:
    """Writes lines about the tasks of a display from a thread of its own."""

    def __init__(self, display: Display, every: float) -> None:
        self._display, self._every = display, every
        self._told: set[TaskID] = set()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.broken = False

    def start(self) -> None:
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join()
        self._thread = None
        for task in self._display.tasks:
            if task.id in self._told:
                self._say(task, broken=self.broken)
        self._told.clear()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            for task in self._display.tasks:
                if not task.finished:
                    self._told.add(task.id)
                elif task.id not in self._told:
                    continue
                self._say(task)
                if task.finished:
                    self._told.discard(task.id)

    def _say(self, task: Task, *, broken: bool = False) -> None:
        told = line(task, broken=broken)
        self._display.console.print(told, markup=False, highlight=False, soft_wrap=True)
