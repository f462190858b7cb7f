"""``paritylab.run(...)``: cells from Python, with a result that a notebook shows as a page."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from paritylab import report
from paritylab.matrix import Selection
from paritylab.model import Cell, CellResult
from paritylab.plan import Options, cells_of, facts, open_engine
from paritylab.runner import Settings, run_all, worker_keys

Names = str | Sequence[str] | None
TEXT_WIDTH = 100
_ROOT_RULE = re.compile(r":root\s*\{[^}]*\}")


@dataclass(frozen=True, kw_only=True, repr=False)
class RunResult:
    """What ``run`` found: a verdict with its evidence for every cell, in the matrix's order.

    ``document`` is results.json as plain data. ``repr`` is the report that a terminal shows; a
    notebook shows a table and the curves.
    """

    results: tuple[CellResult, ...]
    document: dict[str, Any] = field(compare=False)

    @property
    def green(self) -> bool:
        """True when something ran and every cell that ran is green."""
        return report.all_green(self.results)

    @property
    def verdicts(self) -> dict[str, str]:
        """Cell -> verdict."""
        return {result.cell: str(result.verdict) for result in self.results}

    def save(self, path: str | Path) -> Path:
        """Write results.json, as ``paritylab run --results`` does, and return its path."""
        report.check_writable(Path(path))
        report.write_json(Path(path), self.document)
        return Path(path)

    def __repr__(self) -> str:
        console = Console(file=StringIO(), width=TEXT_WIDTH, no_color=True)
        with console.capture() as said:
            console.print(report.summary(self.results))
        return said.get()

    def _repr_html_(self) -> str:
        # Matplotlib takes a second to import; only who looks pays.
        from paritylab.html.report import lab_figures  # noqa: PLC0415

        labs = dict.fromkeys(result.lab for result in self.results)
        figures = [
            drawn
            for lab in labs
            for _, drawn in lab_figures([r for r in self.results if r.lab == lab])
        ]
        return _fragment(self, figures)


def _fragment(found: RunResult, figures: Sequence[object]) -> str:
    from paritylab.html.page import asset, render  # noqa: PLC0415

    # A page's colours, for the fragment alone: a notebook has a `:root` of its own.
    colors = "".join(_ROOT_RULE.findall(asset("style.css"))[:1]).replace(":root", ".paritylab-run")
    return render(
        "notebook.html.j2", results=found.results, figures=figures, green=found.green, colors=colors
    )


def run(  # noqa: PLR0913 - an argument per option of the command
    lab: Names = None,
    *,
    implementation: Names = None,
    engine: str = "venv",
    environment: Names = None,
    device: str = "cpu",
    base: str = "auto",
    profile: str = "portable",
    seed: int | None = None,
    cold: bool = False,
    strict_bits: bool = False,
    jobs: int | None = None,
    root: str | Path | None = None,
) -> RunResult:
    """Run cells and return their verdicts; the arguments are the options of ``paritylab run``.

    ``lab``, ``implementation`` and ``environment`` take one name, several, or None for all.
    ``engine`` is ``venv`` (pinned virtual environments), ``docker`` (images) or ``here`` (the
    frameworks of this interpreter). ``root`` is the folder that holds labs/ and environments/;
    without it the nearest one upwards. A cell that is not green is a result, no exception; raises
    UsageError, CatalogError or EngineError as the command does.
    """
    options = Options(
        selection=Selection(
            labs=_several(lab),
            implementations=_several(implementation),
            environments=_several(environment),
            device=device,
        ),
        settings=Settings(profile=profile, seed=seed, cold=cold, strict_bits=strict_bits),
        engine=engine,
        base=base,
        root=Path(root).resolve() if root else None,
    )
    cells = cells_of(options)
    found, images = _run(cells, options, jobs or len(os.sched_getaffinity(0)))
    document = report.document(found, cells, {**facts(options), "images": images})
    document["cells"] = [asdict(result) for result in found]
    return RunResult(results=tuple(found), document=document)


def _run(cells: list[Cell], options: Options, jobs: int) -> tuple[list[CellResult], dict[str, str]]:
    with closing(open_engine(options)) as opened:
        opened.prepare(worker_keys(cells, options.settings.profile))
        found = run_all(cells, opened, options.settings, jobs=jobs)
        return found, dict(getattr(opened, "images", {}))


def _several(names: Names) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)
