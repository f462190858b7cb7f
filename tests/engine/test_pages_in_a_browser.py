"""Pages in a real browser: what is hostile stays text, what is offered works, nothing is fetched.

Needs the extra `browser` and a Chromium (Debian: `apt-get install chromium`); no Docker.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent.parent / "unit"))  # the class and its hostile strings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[browser]'")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium")
WIDTHS = (390, 800, 1280)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def sheet(browser: Any) -> Iterator[Any]:
    """A tab that notes in ``troubles`` every dialog, script error, complaint and request."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.troubles = []
    page.on("dialog", lambda one: (page.troubles.append(f"dialog {one.message}"), one.dismiss()))
    page.on("pageerror", lambda one: page.troubles.append(f"error {one}"))
    page.on("console", lambda one: page.troubles.append(f"console {one.text}"))
    page.on(
        "request",
        lambda one: one.url.startswith("file:") or page.troubles.append(f"request {one.url}"),
    )
    yield page
    context.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run in which every string is hostile."""
    from test_html_report import HOSTILE, cell, spoken  # noqa: PLC0415

    from paritylab.html.report import page  # noqa: PLC0415
    from paritylab.model import Verdict  # noqa: PLC0415
    from paritylab.results import Results  # noqa: PLC0415

    cells = tuple(
        cell(name, verdict, curves={"loss": [1.0, 2.0]}, max_error={"loss": 1.0})
        for name, verdict in (("pytorch", Verdict.CLOSE), ("tf2", Verdict.DIVERGED))
    )
    bare = Results(created="", paritylab="", host={}, run={}, environments=(), cells=cells)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(spoken(bare, HOSTILE)), encoding="utf-8")
    return path


def test_a_hostile_run_does_nothing_in_a_browser(sheet: Any, report: Path) -> None:
    """No dialog, no error, no request; the script of the page itself runs."""
    sheet.goto(report.as_uri())
    assert sheet.troubles == []
    assert sheet.title().startswith("paritylab:")
    assert sheet.locator(".filter").first.is_visible(), "the page's own script did not run"


def test_a_script_that_got_in_would_not_run(sheet: Any, report: Path, tmp_path: Path) -> None:
    """The page's policy stops it even if an escape were forgotten."""
    page = report.read_text(encoding="utf-8")
    path = tmp_path / "broken.html"
    path.write_text(page.replace("<h2", "<script>document.title='owned'</script><h2", 1))
    sheet.goto(path.as_uri())
    assert sheet.title().startswith("paritylab:")
    assert any("Content Security Policy" in one for one in sheet.troubles)


def test_a_choice_in_the_matrix_opens_that_cell(sheet: Any, report: Path) -> None:
    """One click from the matrix to the evidence."""
    sheet.goto(report.as_uri())
    target = sheet.locator("#cell-1")
    assert not target.is_visible()
    sheet.locator('.matrix a[href="#cell-1"]').click()
    target.wait_for(state="visible", timeout=5000)


def test_without_scripts_a_choice_opens_that_cell_too(browser: Any, report: Path) -> None:
    """Scripts may be off, or stripped by a mail program: the browser itself opens the details."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    page.locator('.matrix a[href="#cell-1"]').click()
    page.locator("#cell-1").wait_for(state="visible", timeout=5000)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_width_scrolls_the_page_sideways(
    browser: Any, report: Path, scheme: str, width: int
) -> None:
    """Wide tables and pictures scroll by themselves; ink and paper differ in both schemes."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    light = sum(int(part) for part in paper[4:-1].split(",")) > 382
    assert light is (scheme == "light")
    assert paper != ink
    context.close()


def test_a_class_can_be_sorted_and_filtered(sheet: Any, tmp_path: Path) -> None:
    """By number, not by letter; twice turns the order; the filter hides the others."""
    from test_grade_instructor import made  # noqa: PLC0415

    from paritylab.grade.model import Grade, Submission  # noqa: PLC0415

    def grade(student: str, score: float) -> Grade:
        handed = Submission(student=student, name=student, origin="", sources={"pytorch": ""})
        return Grade(
            submission=handed, lab="train", title="Train", score=score, raw=score, points=20,
            checks=(), seeds=(1,),
        )  # fmt: skip

    path = tmp_path / "index.html"
    path.write_text(made([grade("ada", 9), grade("bob", 10), grade("cid", 2)]), encoding="utf-8")
    sheet.goto(path.as_uri())
    rows = sheet.locator("#everyone tbody tr")
    heading = sheet.locator("#everyone thead button").nth(1)
    heading.click()
    assert [row.split()[0] for row in rows.all_inner_texts()] == ["cid", "ada", "bob"]
    heading.click()
    assert [row.split()[0] for row in rows.all_inner_texts()] == ["bob", "ada", "cid"]
    sheet.locator("input[data-filter=everyone]").fill("cid")
    assert [row.is_visible() for row in rows.all()] == [False, False, True]
    assert sheet.troubles == []
