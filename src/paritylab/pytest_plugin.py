"""pytest front end: one test per cell, workers shared by all xdist processes, one summary.

The controlling process owns the engine and its fleet; xdist processes reach the fleet through
``RemoteFleet``. Without xdist the same process does both. ``tests/labs/conftest.py`` takes its
hooks from here.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from paritylab.cellitem import TEST, CellItem
from paritylab.engines.base import Engine
from paritylab.errors import EXIT_GREEN, EXIT_RED, LabError
from paritylab.fleet import Fleet, LocalFleet, RemoteFleet, serve
from paritylab.gpupool import GpuPool
from paritylab.matrix import Selection
from paritylab.matrixtable import MARKS
from paritylab.model import Cell, CellResult, Verdict
from paritylab.plan import Chosen, Options, choose, facts, gpus_for, open_engine
from paritylab.progress import Display
from paritylab.report import all_green, check_writable, document, gap, show, write_json
from paritylab.runner import Runner, Settings, worker_keys

CHOSEN = pytest.StashKey[Chosen]()
ENGINE = pytest.StashKey[Engine]()
FLEET = pytest.StashKey[Fleet]()
GPUS = pytest.StashKey[GpuPool | None]()
OPEN = pytest.StashKey[ExitStack]()
RUNNER = pytest.StashKey[Runner]()
RESULT = pytest.StashKey[CellResult]()
ATTRIBUTE = "paritylab_result"
_result = TypeAdapter(CellResult)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that narrow the matrix and choose engine and profile."""
    group = parser.getgroup("paritylab", "cells of the parity matrix")
    for name, what in (
        ("lab", "only this lab"),
        ("implementation", "only pytorch, tf1 or tf2"),
        ("environment", "only this environment"),
    ):
        group.addoption(
            f"--{name}", action="append", default=[], metavar="NAME", help=f"{what}; repeatable"
        )
    group.addoption("--device", default="cpu", help="cpu (default) or cuda")
    group.addoption("--gpus", default=None, metavar="0,1", help="with cuda: only these GPUs")
    group.addoption("--smoke", action="store_true", help="with cuda: its packages, on the CPU")
    group.addoption("--engine", default="venv", help="venv (default), docker or here")
    group.addoption("--base", default="auto", help="base images: auto, pull or bootstrap")
    group.addoption("--profile", default="portable", help="portable (default) or native")
    group.addoption("--seed", type=int, default=None, help="other inputs, judged by the oracle")
    group.addoption("--cold", action="store_true", help="a fresh worker for every cell")
    group.addoption("--strict-bits", action="store_true", help="a bit drift is red")
    group.addoption("--shard", default=None, metavar="2/5", help="only this part of the matrix")
    group.addoption(
        "--balance-by", default=None, metavar="FILE", help="balance shards by this results.json"
    )
    group.addoption("--results", default=None, metavar="FILE", help="write results.json here")


def pytest_configure(config: pytest.Config) -> None:
    """Hand xdist's processes no more cells than must be, unless the command line says otherwise.

    In larger pieces a process keeps what it was handed behind a long cell while others are idle.
    """
    if getattr(config.option, "maxschedchunk", 0) is None:
        config.option.maxschedchunk = 1
    gc.freeze()  # what the imports made stays: walking it for garbage takes 0.05 s each time


def options_of(config: pytest.Config) -> Options:
    """The command line as Options."""
    get = config.getoption
    return Options(
        selection=Selection(
            labs=tuple(get("lab")),
            implementations=tuple(get("implementation")),
            environments=tuple(get("environment")),
            device=get("device"),
        ),
        settings=Settings(
            profile=get("profile"),
            seed=get("seed"),
            cold=get("cold"),
            strict_bits=get("strict_bits"),
            smoke=get("smoke"),
        ),
        gpus=get("gpus"),
        shard=get("shard"),
        durations=Path(get("balance_by")) if get("balance_by") else None,
        engine=get("engine"),
        base=get("base"),
    )


def _is_xdist_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Read the catalog; in the controlling process also open the engine and prepare it."""
    config = session.config
    try:
        config.stash[CHOSEN] = choose(options_of(config))
        if config.getoption("results") and not _is_xdist_worker(config):
            check_writable(Path(config.getoption("results")))
        if not config.option.collectonly:
            _open(config)
    except LabError as fault:
        if OPEN in config.stash:
            config.stash[OPEN].close()
        # pytest says the reason of an exit twice.
        config.get_terminal_writer().line(f"\n{fault}\n", red=True)
        pytest.exit("stopped before the first cell", returncode=fault.exit_code)


def _open(config: pytest.Config) -> None:
    options = options_of(config)
    if _is_xdist_worker(config):
        facts_of_fleet = config.workerinput["paritylab_fleet"]  # type: ignore[attr-defined]
        config.stash[FLEET] = RemoteFleet(facts_of_fleet)
        config.stash[ENGINE] = open_engine(options)
        return
    with ExitStack() as stack:
        # A console of its own: the module's was made while pytest captured, so it draws nothing.
        engine = open_engine(options, Display(Console(stderr=True)))
        stack.callback(engine.close)
        cells = config.stash[CHOSEN].cells
        gpus = gpus_for(cells, options, engine)
        engine.prepare(worker_keys(cells, options.settings.profile))
        fleet = stack.enter_context(LocalFleet(engine, gpus))
        config.stash[ENGINE], config.stash[FLEET], config.stash[GPUS] = engine, fleet, gpus
        config.stash[OPEN] = stack.pop_all()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each xdist process how to reach the fleet."""
    config = node.config
    if FLEET in config.stash:
        if not hasattr(config, "paritylab_fleet"):
            config.paritylab_fleet = serve(config.stash[FLEET])
        node.workerinput["paritylab_fleet"] = config.paritylab_fleet


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> list[pytest.Item] | None:
    """One test per selected cell, in the place of the function ``test_cell``."""
    if name != TEST or not isinstance(obj, FunctionType):
        return None
    chosen = collector.config.stash[CHOSEN]
    return [CellItem.of(cell, collector, obj) for cell in chosen.in_turn()]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to start the workers that the collected cells need."""
    gc.freeze()  # and so do the tests
    config = session.config
    if FLEET not in config.stash or config.getoption("cold"):
        return
    cells = [item.cell for item in session.items if isinstance(item, CellItem)]
    keys = worker_keys(cells, config.getoption("profile"), config.stash.get(GPUS, None))
    config.stash[FLEET].prefetch(keys)


def runner_of(config: pytest.Config) -> Runner:
    """What runs cells on the shared workers: one per process, opened by the first cell."""
    if RUNNER not in config.stash:
        settings = options_of(config).settings
        config.stash[RUNNER] = Runner(config.stash[ENGINE], config.stash[FLEET], settings)
    return config.stash[RUNNER]


def check(item: pytest.Item, cell: Cell) -> None:
    """The body of the one test: run the cell, keep the result, fail unless it is green."""
    result = runner_of(item.config).timed(cell)
    item.stash[RESULT] = result
    if result.verdict is Verdict.UNSUPPORTED:
        pytest.skip(result.message)
    if not result.verdict.green:
        pytest.fail(f"{result.verdict}: {result.message}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Hang the result on the report: xdist carries it to the controlling process."""
    made = yield
    if made.when == "call" and RESULT in item.stash:
        result = item.stash[RESULT]
        setattr(made, ATTRIBUTE, _result.dump_python(result, mode="json"))
        item.user_properties.append(("verdict", str(result.verdict)))
        item.user_properties.append(("digest", result.digest or ""))
        made.user_properties = item.user_properties
    return made


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Show verdicts, not just pass and fail."""
    data = getattr(report, ATTRIBUTE, None)
    if data is None or report.when != "call":
        return None
    verdict = Verdict(data["verdict"])
    category = {True: "passed", False: "failed"}[verdict.green]
    if verdict is Verdict.UNSUPPORTED:
        category = "skipped"
    return category, MARKS[verdict], verdict.upper()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The matrix, the reasons for gaps, and every divergence."""
    if _is_xdist_worker(config):
        return  # its terminal is nobody's, and its results are a part
    results = _results(terminalreporter)
    if not results:
        return
    options = options_of(config)
    console = Console(
        file=terminalreporter._tw._file,
        force_terminal=bool(terminalreporter._tw.hasmarkup),
        width=terminalreporter._tw.fullwidth if terminalreporter._tw.hasmarkup else 200,
    )
    console.print()
    show(console, results)
    target = config.getoption("results")
    if target:
        engine = config.stash[ENGINE]
        images = getattr(engine, "images", {})
        chosen = config.stash[CHOSEN]
        told = {**facts(options), "images": dict(images), **gap(results, chosen.cells)}
        data = document(results, chosen.cells, told, chosen.origin())
        write_json(Path(target), data)
        console.print(f"results: {target}", style="dim")


def _results(terminalreporter: Any) -> list[CellResult]:
    reports = (item for items in terminalreporter.stats.values() for item in items)
    found = [
        _result.validate_python(getattr(item, ATTRIBUTE))
        for item in reports
        if hasattr(item, ATTRIBUTE)
    ]
    return sorted(found, key=lambda result: result.cell)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop every worker, whatever happened; a run in which no cell ran is not green."""
    stash = session.config.stash
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    results = _results(terminal) if terminal and OPEN in stash else []
    if session.exitstatus == EXIT_GREEN and results and not all_green(results):
        session.exitstatus = EXIT_RED
    _close(stash)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The same after a Ctrl-C that skipped the session's end."""
    _close(config.stash)


def _close(stash: pytest.Stash) -> None:
    """Hang up on the workers; in the process that owns them, stop them."""
    if RUNNER in stash:
        stash[RUNNER].close()
        del stash[RUNNER]
    if OPEN in stash:
        stash[OPEN].close()
        del stash[OPEN]
