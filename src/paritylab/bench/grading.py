"""Figure (c): submissions per minute against one plain container per cell.

The baseline is one plain ``docker run`` per cell (``plainrun``), a cell being one implementation
on one hidden seed: a container for each processor at a time. Against it stand as many submissions
at a time as the machine has room for; they are copies of the lab's own programs and must earn full
marks. All times are seconds of wall time, unless they are said to be a core's.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from paritylab.bench.model import Figure, Target, Tell, ratio
from paritylab.engines.dockerclient import open_client
from paritylab.errors import EngineError, LabError
from paritylab.grade.lanes import Isolation, Lanes
from paritylab.grade.model import Grade, Submission
from paritylab.grade.plan import PROFILE, Plan
from paritylab.grade.questions import Questions
from paritylab.grade.run import Question, Watch, grade
from paritylab.grade.sandboxes import Sandboxes
from paritylab.grade.trial import Trial
from paritylab.journal import Journal
from paritylab.model import Cell
from paritylab.plainrun import docker_run

PLAIN = "docker run per cell"
ROUNDS = 4
"""So many rounds at least, of each place's, or the idle end of a run would be all of it."""
FASTER = Target(least=10)
"""So many times the submissions per minute of the baseline."""
ADDED = Target(below=1)
"""Seconds of a core for each further submission on a warm lane."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast one way of grading is; seconds are per submission.

    ``per_minute`` is over the whole run, from no container to the last mark; ``added`` what one
    more submission costs a core once all lanes are warm (None for the baseline). ``phases`` say
    where a core's time goes.
    """

    name: str
    submissions: int
    seconds: float
    per_minute: float
    added: float | None = None
    phases: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Clock:
    """When each trial ended, and what it took."""

    begun: float = field(default_factory=time.monotonic)
    ended: list[float] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)

    def done(self, _: Question, answer: Trial | LabError) -> None:
        """To be called after each trial."""
        if isinstance(answer, LabError):
            raise answer
        self.ended.append(time.monotonic())
        self.trials.append(answer)


def grading(
    plan: Plan, *, base: str, submissions: dict[Isolation, int], repeats: int, tell: Tell
) -> list[Figure]:
    """Measure the baseline and every isolation; raises EngineError for a wrong answer."""
    runs = [_measure(plan, base=base, submissions=submissions, tell=tell) for _ in range(repeats)]
    plain = [paces[0].per_minute for paces in runs]
    figures = []
    for place in range(1, len(runs[0])):
        paces = [run[place] for run in runs]
        name = paces[0].name
        figures.append(
            ratio(
                "c",
                f"{plan.lab.slug}: submissions a minute, {name} against docker run",
                (f"{name} /min", [pace.per_minute for pace in paces]),
                ("docker run per cell /min", plain),
                target=FASTER,
            )
        )
        figures.append(_one_more(paces))
    return figures


def _one_more(paces: list[Pace]) -> Figure:
    # One way of grading, a pace per repeat; its parts say where that time goes.
    return Figure(
        letter="c",
        name=f"a core's time for one more submission, {paces[0].name}",
        unit="s",
        samples=tuple(pace.added or 0.0 for pace in paces),
        target=ADDED,
        parts={f"{phase} s": tuple(p.phases[phase] for p in paces) for phase in paces[0].phases},
    )


def _measure(plan: Plan, *, base: str, submissions: dict[Isolation, int], tell: Tell) -> list[Pace]:
    boxes = {kind: Sandboxes(plan.lab.limits, isolation=kind, base=base) for kind in Isolation}
    images = {kind: box.prepare(plan.worker_keys()) for kind, box in boxes.items()}
    paces = [_plain(plan, images[Isolation.CONTAINER], boxes[Isolation.CONTAINER].cores)]
    tell(_told(paces[0]))
    for kind, count in submissions.items():
        wide = replace(plan, jobs=boxes[kind].places(len(plan.worker_keys())))
        paces.append(_lanes(wide, boxes[kind], kind, max(count, ROUNDS * wide.jobs)))
        tell(_told(paces[-1]))
    return paces


def _told(pace: Pace) -> str:
    added = f", {pace.added:.2f} s of a core for one more" if pace.added is not None else ""
    return f"{pace.name}: {pace.per_minute:.1f} submissions/min ({pace.submissions}){added}"


def _plain(plan: Plan, image: str, cores: int) -> Pace:
    """Submissions with a plain container for each of their cells, ``cores`` of them at a time.

    The outputs are not marked. Two submissions, or as many as give each core four cells.
    """
    asked, each = Questions(plan.lab), len(plan.implementations) * len(plan.seeds)
    count = max(2, -(-ROUNDS * cores // each))
    cells = list(product(range(count), plan.implementations, plan.seeds))

    def one(cell: tuple[int, str, int]) -> None:
        _, implementation, seed = cell
        inputs = asked.inputs(seed)
        ours = Cell(
            lab=plan.lab, implementation=implementation, environment=plan.environment,
            device="cpu", unsupported=None,
        )  # fmt: skip
        docker_run(open_client(), image, ours, inputs)

    begun = time.monotonic()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(one, cells))
    seconds = (time.monotonic() - begun) / count
    return Pace(name=PLAIN, submissions=count, seconds=seconds, per_minute=60 / seconds)


def _lanes(plan: Plan, boxes: Sandboxes, isolation: Isolation, count: int) -> Pace:
    keys, clock = plan.worker_keys(), _Clock()

    def lanes(wanted: int) -> Lanes:
        return Lanes(boxes.open, keys, isolation=isolation, ahead=plan.jobs, wanted=wanted)

    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        with Journal(path, kind="grade", facts={"profile": PROFILE}, resume=False) as journal:
            watch = Watch(done=clock.done)
            _all_right(grade(_copies(plan, count), plan, journal, lanes, watch))
    seconds = time.monotonic() - clock.begun
    # Where the next containers are made meanwhile, that is a second processor for each place.
    busy = min(boxes.cores, plan.jobs * (2 if isolation is Isolation.CONTAINER else 1))
    added = _added(plan, clock) * busy
    return Pace(
        name=f"--isolation {isolation}",
        submissions=count,
        seconds=seconds / count,
        per_minute=60 * count / seconds,
        added=added,
        phases=_phases(clock, count, added),
    )


def _copies(plan: Plan, count: int) -> list[Submission]:
    sources = {
        name: source.read_text(encoding="utf-8")
        for name in plan.implementations
        if (source := plan.lab.implementations[name].source)
    }
    return [
        Submission(student=f"s{n:03}", name=f"Student {n}", origin="", sources=sources)
        for n in range(count)
    ]


def _added(plan: Plan, clock: _Clock) -> float:
    """Seconds per submission from the moment each lane has served one."""
    each = len(plan.implementations) * len(plan.seeds) * plan.repeats
    warm = min(plan.jobs * each, len(clock.ended) - 1)
    later = (len(clock.ended) - 1 - warm) / each
    span = clock.ended[-1] - clock.ended[warm]
    return span / later if later else 0.0


def _phases(clock: _Clock, count: int, added: float) -> dict[str, float]:
    """Where a core's time per submission goes, once it is warm."""
    computing = sum(trial.seconds for trial in clock.trials) / count
    asking = sum(trial.wall for trial in clock.trials) / count
    return {
        "the programs themselves": computing,
        "sessions, forks, transport, marks": asking - computing,
        "preparing and removing lanes, host": max(0.0, added - asking),
    }


def _all_right(grades: list[Grade]) -> None:
    for one in grades:
        if one.score < one.points:
            wrong = next(check for check in one.checks if not check.passed)
            raise EngineError(
                f"{wrong.id} is {wrong.verdict}: {wrong.words}",
                why="a wrong answer has no speed",
                fix="paritylab run --engine docker",
            )
