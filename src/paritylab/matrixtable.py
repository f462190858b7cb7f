"""The matrix for a terminal: labs by environment and implementation, a portion at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from paritylab.model import CellResult, Verdict

STYLES = {
    Verdict.IDENTICAL: "bold green",
    Verdict.CLOSE: "green",
    Verdict.DIVERGED: "bold red",
    Verdict.FAILED: "bold red",
    Verdict.TIMEOUT: "bold magenta",
    Verdict.KILLED: "bold magenta",
    Verdict.UNSUPPORTED: "dim",
}
MARKS = {
    Verdict.IDENTICAL: "=",
    Verdict.CLOSE: "~",
    Verdict.DIVERGED: "D",
    Verdict.FAILED: "F",
    Verdict.TIMEOUT: "T",
    Verdict.KILLED: "K",
    Verdict.UNSUPPORTED: "-",
}
PORTION = 50
"""Labs that are drawn at a time: a table of a thousand takes 15 MiB while it is."""
_HEADING, _EDGE = 3, 3  # letters of a heading; a line with a space on each side
_TITLE = "Parity matrix"
_Place = tuple[str, str, str]  # environment, device, implementation
_Entry = Callable[[CellResult | None], Text]


class MatrixTable:
    """labs x (environment, implementation), each with verdict and seconds.

    Where the terminal is too narrow for words a verdict is one mark, explained below; where it is
    too narrow for these, every environment has a table of its own.
    """

    def __init__(self, results: Sequence[CellResult]) -> None:
        self.columns = sorted({(r.environment, r.device, r.implementation) for r in results})
        numbers = {column: number for number, column in enumerate(self.columns)}
        self._rows: dict[str, list[CellResult | None]] = {
            lab: [None] * len(numbers) for lab in sorted({r.lab for r in results})
        }
        for one in results:
            place = numbers[one.environment, one.device, one.implementation]
            self._rows[one.lab][place] = one
        self._shown = {one.verdict for one in results}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The whole of it at once."""
        yield from self.portions(options.max_width)

    def portions(self, width: int) -> Iterator[RenderableType]:
        """Yield what stands below one another; choose words or marks by the width at hand."""
        every = range(len(self.columns))
        words = _Drawing(self._rows, self.columns, every, entry=_entry, room=width)
        if words.fits:
            yield from words.portions()
            return
        groups = [list(every)]
        if self._least(len(self.columns)) > width:
            groups = [list(found) for _, found in groupby(every, lambda n: self.columns[n][:2])]
        for places in groups:
            marks = _Drawing(self._rows, self.columns, places, entry=_mark, room=width)
            yield from marks.portions()
        yield Text(", ".join(f"{MARKS[v]} {v}" for v in Verdict if v in self._shown), style="dim")

    def _least(self, columns: int) -> int:
        """The width at which every mark and the beginnings of the headings can be read."""
        return max(map(len, self._rows), default=0) + _HEADING * columns + _EDGE * (columns + 1) + 1


class _Drawing:
    """One table of chosen columns, its rows in portions that look like one table."""

    def __init__(
        self,
        rows: dict[str, list[CellResult | None]],
        columns: Sequence[_Place],
        places: Sequence[int],
        *,
        entry: _Entry,
        room: int,
    ) -> None:
        self._rows, self._places, self._entry = rows, places, entry
        self._headings = ["lab", *("\n".join(columns[place]) for place in places)]
        self._widths = [max(map(cell_len, heading.split("\n"))) for heading in self._headings]
        for lab in rows:
            for number, text in enumerate(self._texts(lab)):
                self._widths[number] = max(self._widths[number], text.cell_len)
        self.fits = sum(self._widths) + _EDGE * len(self._widths) + 1 <= room

    def portions(self) -> Iterator[RenderableType]:
        """Yield the rows, ``PORTION`` at a time."""
        labs = list(self._rows)
        if len(labs) <= PORTION:
            yield self._table(labs, title=_TITLE)
            return
        for start in range(0, len(labs), PORTION):
            table = self._table(labs[start : start + PORTION], title=None if start else _TITLE)
            head = self._table([], title=None) if start else None
            yield _Part(table, head=head, last=start + PORTION >= len(labs))

    def _texts(self, lab: str) -> Iterator[Text]:
        yield Text(lab)
        for place in self._places:
            yield self._entry(self._rows[lab][place])

    def _table(self, labs: Sequence[str], *, title: str | None) -> Table:
        table = Table(title=title, title_justify="left")
        table.add_column("lab", style="bold", no_wrap=True, min_width=self._least(0))
        for number, heading in enumerate(self._headings[1:], 1):
            table.add_column(heading, min_width=self._least(number))
        for lab in labs:
            table.add_row(*self._texts(lab))
        return table

    def _least(self, number: int) -> int | None:
        """What keeps a column as wide in every portion; a single one may shrink as it must."""
        alone = len(self._rows) <= PORTION
        return None if alone or (number and not self.fits) else self._widths[number]


class _Part:
    """A table without the edge, or the head, that the part after or before it has there."""

    def __init__(self, table: Table, *, head: Table | None, last: bool) -> None:
        self._table, self._head, self._last = table, head, last

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._table, options, pad=False)
        drawn = len(console.render_lines(self._head, options, pad=False)) - 1 if self._head else 0
        for line in lines[drawn : None if self._last else -1]:
            yield from line
            yield Segment.line()


def _entry(result: CellResult | None) -> Text:
    if result is None:
        return Text("")
    if result.verdict is Verdict.UNSUPPORTED:
        return Text("unsupported", style=STYLES[result.verdict], no_wrap=True)
    drift = "!" if result.bit_drift else ""
    text = Text(f"{result.verdict}{drift}", style=STYLES[result.verdict], no_wrap=True)
    return text.append(f" {result.seconds:.2f}", style="dim")


def _mark(result: CellResult | None) -> Text:
    if result is None:
        return Text("")
    drift = "!" if result.bit_drift else ""
    return Text(f"{MARKS[result.verdict]}{drift}", style=STYLES[result.verdict])
