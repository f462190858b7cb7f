"""A real browser on a real site, opened from the disk; skipped where there is no Chromium."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from paritylab import catalog, matrix, scenarios
from paritylab.cli.site import reference
from paritylab.expected import recorded
from paritylab.judge import judge
from paritylab.matrix import Selection
from paritylab.model import Cell, CellResult, Value, Verdict
from paritylab.report import document, write_json
from paritylab.site import build, write_tree
from paritylab.wire import JobResult

PROJECT = Path(__file__).parent.parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the browser."""
    for item in items:
        item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results.json: that of a run (PARITYLAB_TEST_RESULTS), else the oracle's own answers.

    The oracle's are judged as a framework's would be, after rounding to the declared types; every
    fifth is one ULP off, so that the curves have something to show.
    """
    given = os.environ.get("PARITYLAB_TEST_RESULTS")
    if given:
        return Path(given)
    loaded = catalog.load(PROJECT)
    cells = matrix.cells(loaded, Selection())
    problems = {
        slug: recorded(lab, scenarios.solve(lab, lab.seed)) for slug, lab in loaded.labs.items()
    }
    found = []
    for place, cell in enumerate(cells):
        blank = CellResult(
            cell=cell.id, lab=cell.lab.slug, implementation=cell.implementation,
            environment=cell.environment.name, device=cell.device, profile="portable",
            verdict=Verdict.UNSUPPORTED, message=cell.unsupported or "",
        )  # fmt: skip
        if not cell.unsupported:
            problem = problems[cell.lab.slug]
            values = rounded(cell, problem.expected[cell.implementation], off=place % 5 == 0)
            answer = JobResult(status="ok", values=values)
            blank = judge(blank, cell, answer, problem=problem, strict_bits=False)
        found.append(blank)
    path = tmp_path_factory.mktemp("run") / "results.json"
    write_json(path, document(found, cells, {"engine": "oracle", "profile": "portable"}))
    return path


def rounded(cell: Cell, values: dict[str, Value], *, off: bool) -> dict[str, Value]:
    """The oracle's values in the types that a framework gives."""
    given: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, str):
            given[name] = value
            continue
        array = np.asarray(value).astype(cell.lab.outputs[name].dtype)
        floats = array.dtype.kind == "f"
        given[name] = np.nextafter(array, np.inf, dtype=array.dtype) if off and floats else array
    return given


@pytest.fixture(scope="session")
def site(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, as `nox -s site` makes it."""
    folder = tmp_path_factory.mktemp("site")
    write_tree(catalog.load(PROJECT), results, commands=reference(), folder=folder / "sources")
    return build(folder / "sources", folder / "pages").parent


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.skip("no Chromium: sudo apt-get install -y --no-install-recommends chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page with everything that it complained about and asked for."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, name: str) -> Page:
        """Go to a page of the site."""
        self.page.goto(f"{self.base}/{name}")
        return self.page


@pytest.fixture
def visit(chromium: Browser, site: Path) -> Iterator[Visit]:
    """A fresh page; a console error, a failed request or one to another host fails the test."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    made = Visit(page, site.as_uri())
    page.on(
        "console",
        lambda m: made.complaints.append(m.text) if m.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda fault: made.complaints.append(str(fault)))
    page.on("requestfailed", lambda request: made.complaints.append(request.url))
    page.on("request", lambda request: made.asked.append(request.url))
    yield made
    page.close()
    assert made.complaints == []
    assert [url for url in made.asked if not url.startswith(("file:", "data:", "blob:"))] == []
