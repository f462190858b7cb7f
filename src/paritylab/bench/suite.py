"""The whole benchmark: which figures there are, in which order, and the document of a run."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from paritylab import catalog, checkout, report
from paritylab.bench.builds import builds
from paritylab.bench.grading import grading
from paritylab.bench.growth import SIZES, growth
from paritylab.bench.memory import memory
from paritylab.bench.model import Figure, Tell
from paritylab.bench.scaling import scaling
from paritylab.bench.warm import connections, warm_cells, whole_matrix
from paritylab.engines.base import Engine
from paritylab.errors import UsageError, nearest
from paritylab.grade import seeds
from paritylab.grade.lanes import Isolation
from paritylab.grade.request import plan_for
from paritylab.matrix import Selection
from paritylab.model import Cell
from paritylab.plan import Options, choose, open_engine
from paritylab.runner import worker_keys

SCHEMA_VERSION = 1
LETTERS = {
    "a": "warm cells against docker run",
    "b": "the matrix against its floor",
    "c": "grading against docker run",
    "d": "image builds",
    "e": "scaling with pytest processes",
    "f": "memory",
    "g": "growth with the number of cells",
}
SHORT_LABS = ("evaluate", "multiply", "train")
"""Labs of (a) and (f) where none is named: such as a course has, seconds together."""
GRADED = "train"
GRADED_IN = ("pytorch", "tf2")
SUBMISSIONS = {Isolation.CONTAINER: 16, Isolation.FORK: 80}
HIDDEN_SEEDS = 3
SCALED = ("tf2",)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be measured: figures by letter, labs and environments, engine, repeats.

    ``sizes`` are those of (g).
    """

    only: tuple[str, ...] = tuple(LETTERS)
    labs: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    engine: str = "docker"
    base: str = "auto"
    repeats: int = 5
    sizes: tuple[int, ...] = SIZES

    def check(self) -> Request:
        """Raise UsageError for a letter that there is not, and for what nothing could be run of.

        Here, not an hour later.
        """
        for letter in self.only:
            if letter not in LETTERS:
                told = ", ".join(f"{name} ({what})" for name, what in LETTERS.items())
                raise UsageError(f"unknown figure `{letter}`", why=told, fix="--only a,g")
        if not self.only:
            raise UsageError("no figure is chosen", why=nearest("", LETTERS), fix="--only a,g")
        if set(self.only) & set("abdf"):
            _require_cells(self.options(*self.labs))
        if "e" in self.only:
            _require_cells(self.scaled())
        self._require_use("labs", "abef", self.labs)
        self._require_use("environments", "abdef", self.environments)
        return self

    def _require_use(self, option: str, letters: str, given: tuple[str, ...]) -> None:
        if given and not set(self.only) & set(letters):
            raise UsageError(
                f"{option} are chosen, and none of the figures {', '.join(self.only)} has any",
                why=f"they narrow {', '.join(letters)}",
                fix=f"--only {','.join(letters)}",
            )

    def scaled(self) -> Options:
        """The options of (e): one environment, if none is named, and no container."""
        narrow = replace(self, environments=self.environments or SCALED)
        return narrow.options(*self.labs, engine="venv")

    def options(self, *labs: str, engine: str | None = None) -> Options:
        """The options of a run of these labs (none: all)."""
        chosen = Selection(labs=labs, environments=self.environments)
        return Options(selection=chosen, engine=engine or self.engine, base=self.base)


def _require_cells(options: Options) -> None:
    if all(cell.unsupported for cell in choose(options).cells):
        raise UsageError("none of the chosen cells can run", fix="paritylab matrix")


def measure(request: Request, tell: Tell) -> Iterator[list[Figure]]:
    """Measure what is asked for, in the order of the letters; yield the figures of each.

    Raises UsageError, and what the engines raise; a cell that is not green is an EngineError.
    """
    request.check()
    ways: Mapping[str, Callable[[Request, Tell], list[Figure]]] = {
        "a": _warm, "b": _matrix, "c": _grading, "d": _builds, "e": _scaling, "f": _memory,
        "g": _growth,
    }  # fmt: skip
    for letter, way in ways.items():
        if letter in request.only:
            tell(f"({letter}) {LETTERS[letter]}")
            yield way(request, tell)


def document(figures: Sequence[Figure], request: Request) -> dict[str, Any]:
    """The run as plain data: every sample, the machine, the commit."""
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "paritylab": version("paritylab"),
        "project": checkout.origin(catalog.find_root()),
        "host": {**report.host(), "load": list(os.getloadavg())},
        "repeats": request.repeats,
        "labs": list(request.labs),
        "environments": list(request.environments),
        "engine": request.engine,
        "figures": [figure.document() for figure in figures],
    }


def _jobs() -> int:
    return len(os.sched_getaffinity(0))


def _opened(options: Options, work: Callable[[list[Cell], Engine], list[Figure]]) -> list[Figure]:
    """Make what the cells need, then measure them in the order of a run, then stop everything."""
    cells = list(choose(options).in_turn())
    engine = open_engine(options)
    try:
        engine.prepare(worker_keys(cells, options.settings.profile))
        return work(cells, engine)
    finally:
        engine.close()


def _warm(request: Request, tell: Tell) -> list[Figure]:
    def work(cells: list[Cell], engine: Engine) -> list[Figure]:
        figures = warm_cells(cells, engine, jobs=_jobs(), repeats=request.repeats, tell=tell)
        return [*figures, connections(cells, engine, repeats=request.repeats)]

    return _opened(request.options(*(request.labs or SHORT_LABS)), work)


def _matrix(request: Request, tell: Tell) -> list[Figure]:
    def work(cells: list[Cell], engine: Engine) -> list[Figure]:
        return whole_matrix(cells, engine, jobs=_jobs(), repeats=request.repeats, tell=tell)

    return _opened(request.options(*request.labs), work)


def _grading(request: Request, tell: Tell) -> list[Figure]:
    plan = plan_for(GRADED, GRADED_IN, seeds.draw(HIDDEN_SEEDS))
    return grading(
        plan, base=request.base, submissions=SUBMISSIONS, repeats=request.repeats, tell=tell
    )


def _builds(request: Request, tell: Tell) -> list[Figure]:
    loaded = catalog.load(catalog.find_root(), environments=request.environments)
    environment = loaded.environments[sorted(loaded.environments)[-1]]
    return builds(environment, base=request.base, repeats=request.repeats, tell=tell)


def _scaling(request: Request, tell: Tell) -> list[Figure]:
    chosen = request.scaled().selection
    words = [f"--environment={name}" for name in chosen.environments]
    words += [f"--lab={name}" for name in chosen.labs]
    root = catalog.find_root()
    return scaling(["--engine=venv", *words], root, repeats=request.repeats, tell=tell)


def _memory(request: Request, tell: Tell) -> list[Figure]:
    options = request.options(*(request.labs or (GRADED,)))

    def work(cells: list[Cell], _: Engine) -> list[Figure]:
        return memory(cells, lambda: open_engine(options), repeats=request.repeats, tell=tell)

    return _opened(options, work)


def _growth(request: Request, tell: Tell) -> list[Figure]:
    return growth(repeats=request.repeats, tell=tell, sizes=request.sizes)


def spread(figure: Figure) -> str:
    """``0.91 to 0.95``: the least and the most of the repeats."""
    return f"{_short(min(figure.samples))} to {_short(max(figure.samples))}"


def middle(values: Iterable[float]) -> str:
    """The median of some samples, rounded for people."""
    return _short(statistics.median(values))


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
