import sys
import time
from pathlib import Path

import pytest

from paritylab.commands import Command, run, run_each, try_run
from paritylab.errors import ImageError
from paritylab.turns import together


def python(code: str) -> Command:
    """A command that runs Python code."""
    return Command(argv=[sys.executable, "-c", code], what="it failed", fix="mend it")


def test_a_failure_tells_its_last_words() -> None:
    """People see the program's own error, not only its exit status."""
    with pytest.raises(ImageError, match="it failed") as caught:
        run(python("import sys; print('a reason', file=sys.stderr); sys.exit(3)"))
    assert "exited with 3: a reason" in caught.value.why


def test_a_program_that_is_not_there_or_never_ends() -> None:
    """Both are results with a status, not exceptions of the standard library."""
    assert try_run(Command(argv=["/no/such/program"], what="x")).status == 127
    assert try_run(python("import time; time.sleep(60)"), timeout=0.2).status == 124


def test_results_come_as_they_end_and_chatter_blocks_nobody(tmp_path: Path) -> None:
    """A program that writes a megabyte of warnings ends, though nobody reads while it runs."""
    told = tmp_path / "the second was told"
    waits = (
        f"import pathlib, time\nwhile not pathlib.Path({str(told)!r}).exists(): time.sleep(0.01)"
    )
    commands = [python(waits), python("import sys; sys.stderr.write('x' * 1_000_000)")]
    running = run_each(commands, jobs=2)
    index, ended = next(running)
    assert (index, len(ended.stderr)) == (1, 1_000_000)
    told.touch()
    assert [index for index, _ in running] == [0]


def test_what_still_runs_is_killed_when_the_caller_leaves(tmp_path) -> None:
    """Ctrl-C or an error in one download leaves no other one behind."""
    flag = tmp_path / "survived"
    late = f"import time, pathlib; time.sleep(1); pathlib.Path({str(flag)!r}).touch()"
    running = run_each([python("pass"), python(late)], jobs=2)
    next(running)
    running.close()
    time.sleep(1.5)
    assert not flag.exists()


@pytest.mark.parametrize("way", ["one", "each"])
def test_a_program_is_killed_when_its_work_is_of_no_more_use(way: str, tmp_path: Path) -> None:
    """What runs beside what fails (one image of two, say) does not run to its end for nothing."""
    begun = tmp_path / "begun"
    lasting = python(f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(60)")

    def fails() -> None:
        while not begun.exists():
            time.sleep(0.01)
        raise ValueError("planted")

    def runs() -> object:
        return run(lasting) if way == "one" else list(run_each([lasting], jobs=1))

    started = time.monotonic()
    with pytest.raises(ValueError, match="planted"):
        together([fails, runs], jobs=2)
    assert time.monotonic() - started < 30


def test_a_program_that_is_ended_may_clear_up(tmp_path: Path) -> None:
    """mmdebstrap leaves hundreds of megabytes where it cannot."""
    cleared = tmp_path / "cleared"
    script = f"trap 'touch {cleared}; exit' TERM; while :; do sleep 0.05; done"
    command = Command(argv=["sh", "-c", script], what="it failed")
    assert try_run(command, timeout=1).status == 124
    assert cleared.exists()
