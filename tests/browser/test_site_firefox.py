"""The site in another engine: Debian's Firefox, driven through Marionette, from the disk."""

import importlib.resources
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_site_browser import AXE, PAGES, WIDTHS

# On Python 3.13 a part of it misses a module that the standard library has lost.
pytest.importorskip("marionette_driver.marionette", exc_type=ImportError)
from marionette_driver import By, Wait, expected
from marionette_driver.marionette import Marionette

MESSAGES = "return Services.console.getMessageArray().map(one => String(one.message))"


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marionette]:
    """One Firefox without a window, with a profile of its own."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if not program:
        pytest.skip("no Firefox: sudo apt-get install -y --no-install-recommends firefox-esr")
    log = str(tmp_path_factory.mktemp("firefox") / "gecko.log")
    browser = Marionette(bin=program, headless=True, startup_timeout=120, gecko_log=log)
    browser.start_session()
    browser.timeout.script = 60
    yield browser
    browser.quit()
    browser.cleanup()


@pytest.fixture
def reader(firefox: Marionette, site: Path) -> Iterator[Marionette]:
    """The browser; an error or warning of a page of the site fails the test."""
    with firefox.using_context("chrome"):
        firefox.execute_script("Services.console.reset()")
    firefox.set_window_rect(width=WIDTHS[-1], height=900)
    yield firefox
    with firefox.using_context("chrome"):
        said = firefox.execute_script(MESSAGES)
    ours = [one for one in said if site.as_uri() in one and "Error" in one.split("{file")[0]]
    assert ours == []


def test_a_reader_turns_tabs_and_searches(reader: Marionette, site: Path) -> None:
    """Programs in tabs, and a search without a server."""
    reader.navigate(f"{site.as_uri()}/labs/train.html")
    for label in reader.find_elements(By.CSS_SELECTOR, ".tabbed-labels label"):
        if label.text == "TensorFlow 1":
            label.click()
    shown = [
        block.text
        for block in reader.find_elements(By.CSS_SELECTOR, ".tabbed-block")
        if block.is_displayed()
    ]
    assert sum("tf.placeholder" in text for text in shown) == 1
    entry = reader.find_element(By.CSS_SELECTOR, "input.md-search__input")
    entry.click()
    entry.send_keys("karate")
    hit = (By.CSS_SELECTOR, ".md-search-result__link[href*='graph-network']")
    Wait(reader, timeout=30).until(expected.element_displayed(*hit))
    reader.find_element(*hit).click()
    Wait(reader, timeout=30).until(lambda one: "labs/graph-network.html" in one.get_url())


@pytest.mark.parametrize("name", PAGES)
def test_no_serious_barrier(name: str, reader: Marionette, site: Path) -> None:
    """axe-core finds nothing serious in this engine either."""
    reader.navigate(f"{site.as_uri()}/{name}")
    axe = importlib.resources.files("axe_playwright_python") / "axe.min.js"
    reader.execute_script(axe.read_text("utf-8") + ";window.axe = axe", sandbox=None)
    found = reader.execute_async_script(
        "const [options, end] = arguments;"
        "window.axe.run(document, options).then(it => end(it.violations));",
        script_args=[AXE],
        sandbox=None,
    )
    serious = [
        f"{one['id']}: {[node['target'] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_screen(
    name: str, width: int, reader: Marionette, site: Path, tmp_path: Path
) -> None:
    """In a frame of that width: Firefox makes no window narrower than 500."""
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<!doctype html><body style='margin:0'>"
        f"<iframe style='border:0;width:{width}px;height:900px' src='{site.as_uri()}/{name}'>"
    )
    reader.navigate(frame.as_uri())
    reader.switch_to_frame(reader.find_element(By.CSS_SELECTOR, "iframe"))
    try:
        inside, widest = reader.execute_script(
            "return [innerWidth, document.documentElement.scrollWidth]"
        )
    finally:
        reader.switch_to_frame()
    assert inside == width
    assert widest <= width
