"""What a job changes about itself before the lab's own code."""

import multiprocessing
import os
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from paritylab.audit import injob

TIMES = 20


def _write_and_look(inputs: dict[str, str], workdir: Path) -> None:
    """Fail where somebody else's file is in the working directory, now or a little later."""
    (workdir / inputs["mine"]).write_text("")
    for _ in range(3):
        seen = {path.name for path in Path.cwd().iterdir()}
        assert seen == {inputs["mine"]}, seen
        time.sleep(0.002)


def _work(held: str, workdir: Path) -> None:
    stage = injob.elsewhere(_write_and_look, held)
    for number in range(TIMES):
        own = workdir / str(number)
        own.mkdir()
        os.chdir(own)
        stage({"mine": f"{workdir.name}-{number}"}, own)
        assert (own / f"{workdir.name}-{number}").exists()


def test_jobs_that_hold_the_same_folder_have_it_one_after_another(tmp_path: Path) -> None:
    """Repeats run side by side: a job must not find, or lose, files of the other."""
    context = multiprocessing.get_context("fork")
    places = [tmp_path / name for name in ("one", "two", "three")]
    for place in places:
        place.mkdir()
    jobs = [context.Process(target=_work, args=(str(tmp_path / "held"), p)) for p in places]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert not (tmp_path / "held").exists()


def test_a_folder_of_its_own_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name to hold, the stage runs below its own folder and comes back."""
    monkeypatch.chdir(tmp_path)
    for name in ("PWD", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    with injob.one_at_a_time(str(tmp_path)):
        place = injob.elsewhere(lambda _, workdir: (workdir, Path.cwd()), "")({}, tmp_path)
    assert place == (tmp_path / ".d\u00e9j\u00e0 vu",) * 2
    assert Path.cwd() == tmp_path


def _narrowed(count: int, ready: Queue, leave: Event) -> None:
    undo = injob.set_affinity(count)
    ready.put(tuple(os.sched_getaffinity(0)))
    leave.wait(60)
    undo()


def test_jobs_side_by_side_get_processors_of_their_own() -> None:
    """Two jobs on one processor would take twice as long while another one idles."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        pytest.skip("there is one processor only")
    context = multiprocessing.get_context("fork")
    ready, leave = context.Queue(), context.Event()
    jobs = [context.Process(target=_narrowed, args=(1, ready, leave)) for _ in processors]
    for job in jobs:
        job.start()
    given = [ready.get(timeout=60) for _ in jobs]
    # All have one, so one more shares; and what ended has given its own back.
    late = context.Process(target=_narrowed, args=(1, ready, leave))
    late.start()
    shared = ready.get(timeout=60)
    leave.set()
    for job in [*jobs, late]:
        job.join(60)
    assert sorted(given) == [(cpu,) for cpu in processors]
    assert len(shared) == 1
    assert [job.exitcode for job in [*jobs, late]] == [0] * (len(jobs) + 1)


def test_a_job_that_ended_gives_its_processor_back() -> None:
    """The next job of the same worker's machine finds the name free, also after a kill."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one processor only")
    context = multiprocessing.get_context("fork")
    given = []
    for _ in range(2):
        ready, leave = context.Queue(), context.Event()
        job = context.Process(target=_narrowed, args=(1, ready, leave))
        job.start()
        given.append(ready.get(timeout=60))
        job.kill()
        job.join(60)
    assert given[0] == given[1]
