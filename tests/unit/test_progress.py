"""progress: what is shown of long work holds, on a terminal and in a file."""

import io
import re
import time
from collections.abc import Callable

import pyte
import pytest
from rich.console import Console

from paritylab.progress import ENOUGH, Display, Phases, Results, amount, draws, pace

LONG = "tf1-compat:cpu: sending wheels of an environment with a long name"
ESCAPE = "\x1b"


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        """True."""
        return True


def terminal(width: int = 80, height: int = 25, **settings: object) -> Console:
    """A console on a terminal that remembers every byte; TERM and NO_COLOR are as given."""
    variables = {"TERM": "xterm-256color", **settings}
    return Console(file=Terminal(), width=width, height=height, _environ=variables)


def written(console: Console) -> str:
    """What went to the console's file."""
    return console.file.getvalue()


def seen(console: Console) -> list[str]:
    """The lines that are on the screen, and those that have left it at the top."""
    screen = pyte.HistoryScreen(console.width, console.height, history=1000)
    pyte.Stream(screen).feed(written(console).replace("\n", "\r\n"))
    gone = ["".join(line[n].data for n in range(console.width)) for line in screen.history.top]
    return [line.rstrip() for line in (*gone, *screen.display) if line.strip()]


def pipe(**variables: str) -> Console:
    """A console on a pipe."""
    return Console(file=io.StringIO(), width=80, _environ=variables)


def until(true: Callable[[], bool]) -> None:
    """Wait, at most ten seconds."""
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_amount_and_time_stand_on_one_line_at_every_width(width: int) -> None:
    """Names and remarks are cut on a narrow terminal, numbers never."""
    where = Console(record=True, width=width, file=io.StringIO())
    display = Display(where)
    display.add_task(LONG, total=500e6, completed=112e6, unit="MB", last="x" * 300)
    display.add_task("cells", total=153, completed=31, last="train-tf1@tf2-cpu: identical")
    where.print(display.get_renderable())
    lines = where.export_text().splitlines()
    assert len(lines) == 2
    assert "112/500 MB 0:00:0" in lines[0]
    assert "31/153" in lines[1]
    assert max(map(len, lines)) <= width


def test_a_terminal_sees_bars_and_is_left_clean() -> None:
    """Bars move in place; when the work is over the last control sequence erases the line."""
    where = terminal()
    with Display(where) as display:
        task = display.add_task("cells", total=2)
        display.update(task, advance=1, last="the first [red]")
        until(lambda: "1/2" in written(where))
    assert "the first [red]" in written(where)  # names of files and students are no markup
    assert written(where).endswith(f"{ESCAPE}[1A{ESCAPE}[2K")


def test_a_result_stands_above_the_display_and_stays() -> None:
    """Standard output and standard error are one screen: neither draws over the other."""
    where = terminal()
    out = Results(file=where.file, width=80, _environ={"TERM": "xterm-256color"})
    with Display(where) as display:
        for number in range(3):
            display.add_task(f"image {number}: sending wheels", total=28)
            display.add_task(f"image {number}: installing", total=None)
            out.print(f"tf{number}-cpu: sha256:0123")
            results = [f"tf{one}-cpu: sha256:0123" for one in range(number + 1)]
            lines = seen(where)
            assert lines[: number + 1] == results
            assert len(lines) == number + 1 + 2 * (number + 1)
    assert seen(where) == results


def test_opened_again_it_takes_no_line_that_came_between() -> None:
    """An engine opens its display for every image; what was said between stays."""
    where = terminal()
    display = Display(where)
    for number in range(3):
        with display:
            for step in range(5):
                display.add_task(f"step {step}", total=1)
        where.print(f"said {number}")
    assert seen(where) == ["said 0", "said 1", "said 2"]


def test_a_result_in_a_file_leaves_the_display_alone() -> None:
    """`> file` gets the lines; the terminal is not drawn anew for them."""
    where, out = terminal(), Results(file=io.StringIO(), width=80)
    with Display(where) as display:
        display.add_task("cells", total=2)
        out.print("a line")
    assert written(out) == "a line\n"
    assert written(where).count(f"{ESCAPE}[?25l") == 1  # the cursor is hidden once per drawing


def test_more_tasks_than_lines_leave_nothing_behind() -> None:
    """What goes on is shown, what is done goes first, and in the end the screen is clean."""
    where = terminal(height=10)
    with Display(where) as display:
        first = display.add_task("the first", total=None)
        for number in range(40):
            display.update(display.add_task(f"step {number}", total=1), advance=1)
            display.refresh()
        lines = seen(where)
        assert len(lines) == 9
        assert "the first" in lines[0]
        assert "step 39" in lines[-1]
        display.update(first, total=1, completed=1)
    assert seen(where) == []


def test_the_display_that_is_open_outlives_those_opened_inside_it() -> None:
    """An engine opens the display it was given once more: the bar moves on when that is over."""
    where = terminal()
    with Display(where) as display:
        with display:
            display.add_task("images", total=1)
        task = display.add_task("trials", total=7)
        display.update(task, advance=5)
        until(lambda: "5/7" in written(where))


def test_displays_that_are_open_together_do_not_draw_over_one_another() -> None:
    """Both have their lines at the same time: one frame holds them."""
    where = terminal()
    with Display(where) as outer, Display(where) as inner:
        outer.add_task("the audit", total=3)
        inner.add_task("its wheels", total=84)
        frames = r"the audit[^\n]*0/3[^\n]*\n[^\n]*its wheels[^\n]*0/84"
        until(lambda: re.search(frames, written(where)) is not None)


def test_short_work_says_nothing_into_a_file() -> None:
    """Not even an empty line: scripts read standard error."""
    where = pipe()
    with Display(where) as display:
        display.update(display.add_task("cells", total=1), advance=1)
    assert written(where) == ""


@pytest.mark.parametrize(
    "where",
    [pipe(), pipe(FORCE_COLOR="1"), terminal(TERM="dumb")],
    ids=["pipe", "FORCE_COLOR", "TERM=dumb"],
)
def test_long_work_says_lines_where_no_bar_can_be_drawn(where: Console) -> None:
    """A log shows that it lives, how far it is and how it ended; no control sequence."""
    assert not draws(where)
    with Display(where, every=0.02) as display:
        task = display.add_task("wheels of tf2-cpu", total=84)
        until(lambda: "wheels of tf2-cpu: 0/84, after 0:00:0" in written(where))
        display.update(task, advance=84, last="zipp 3.0; 512 MB fetched")
        until(lambda: "84/84, after 0:00:00, zipp 3.0; 512 MB fetched" in written(where))
    lines = written(where).splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d wheels of tf2-cpu: ", line) for line in lines)
    assert sum("84/84" in line for line in lines) == 1
    assert ESCAPE not in written(where)


def test_an_error_is_told_where_it_ended_the_work() -> None:
    """A task that was cut off is not shown as done, in a file or on a terminal."""
    where = pipe()

    def work() -> None:
        with Display(where, every=0.02) as display:
            display.add_task("wheels of tf2-cpu", total=84, completed=31)
            until(lambda: "31/84" in written(where))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert written(where).splitlines()[-1].split(": ", 1)[1].startswith("stopped: 31/84, after ")


def test_opened_again_it_shows_nothing_of_what_was_cut_off() -> None:
    """A second try begins with an empty display."""
    display = Display(pipe())
    with display:
        display.add_task("a", total=2)
    with display:
        assert display.tasks == []


def test_colours_go_with_no_color() -> None:
    """https://no-color.org: weight may stay, colours may not."""
    where = terminal(NO_COLOR="1")
    with Display(where) as display:
        display.add_task("cells", total=9, completed=4)
        display.add_task("pulse", total=None)
        until(lambda: "4/9" in written(where) and "pulse" in written(where))
    styles = set(re.findall(r"\x1b\[([0-9;]*)m", written(where)))
    assert styles <= {"0", "1", "2"}


def test_what_has_no_total_has_no_share() -> None:
    """Neither a percentage nor `0/100`; one step is not begun by half."""
    display = Display(pipe())
    unknown = display.add_task("search", total=None, completed=7)
    single = display.add_task("virtual environment", total=None)
    by_id = {task.id: task for task in display.tasks}
    assert amount(by_id[unknown]) == "7"
    assert amount(by_id[single]) == ""
    display.update(single, total=1, completed=1)
    assert amount(by_id[single]) == "done"


def test_an_estimate_comes_from_a_measured_pace() -> None:
    """Nothing before enough steps have ended, nothing ever for steps of many kinds."""
    now = 0.0
    display = Display(pipe())
    display.get_time = lambda: now
    trials = display.add_task("trials", total=60, alike=True)
    wheels = display.add_task("wheels", total=60)
    by_id = {task.id: task for task in display.tasks}
    for done in range(1, 11):
        now += 2.0
        display.advance(trials)
        display.advance(wheels)
        told = pace(by_id[trials])
        assert bool(told) is (done >= ENOUGH), done
    assert told == "0:01:40 left, 30/min"
    assert pace(by_id[wheels]) == ""


def test_only_the_planned_phase_has_a_total() -> None:
    """What was left out shortens it in the end; rounds of a search never run backwards."""
    shown = []
    with Phases("plan", pipe()) as phases:
        assert [(task.description, amount(task)) for task in phases.tasks] == [("plan", "")]
        for done in (4, 5, 6):
            phases.tell("plan", done=done, total=9, last="")
            shown.append(amount(phases.tasks[0]))
        for done, total in ((1, 3), (2, 3), (3, 3), (1, 1), (1, 2), (2, 2)):
            phases.tell("search", done=done, total=total, last="")
            shown.append(amount(phases.tasks[1]))
        assert amount(phases.tasks[0]) == "6/6"
    assert shown == ["4/9", "5/9", "6/9", "1", "2", "3", "4", "5", "6"]


def test_a_plan_of_which_nothing_was_left_is_not_waited_for() -> None:
    """An audit that goes on after its last planned run begins with the search."""
    with Phases("plan", pipe()) as phases:
        phases.tell("search", done=1, total=3, last="")
        assert [(task.description, amount(task)) for task in phases.tasks] == [("search", "1")]
