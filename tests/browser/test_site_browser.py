"""The site as readers meet it: in a browser, from the disk, without a network."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Visit
from playwright.sync_api import Page

PAGES = (
    "index.html",
    "start.html",
    "labs/train.html",
    "labs/train-line-by-line.html",
    "labs/visualize.html",
    "claims.html",
    "environments/tf1.html",
    "contributing.html",
    "reference/command-line.html",
    "reference/model.html",
    "last-run.html",
)
AXE = {"resultTypes": ["violations"], "preload": False}
CONTRAST = {**AXE, "runOnly": ["color-contrast"]}  # all that the other scheme can change
WIDTHS = (390, 768, 1440)


class Links(HTMLParser):
    """Targets of links and sources, and the names that can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        known = {name: value or "" for name, value in attrs}
        self.names |= {known[key] for key in ("id", "name") if key in known}
        if tag in ("a", "link", "script", "img", "iframe"):
            self.targets += [known[key] for key in ("href", "src") if key in known]


def read(path: Path) -> Links:
    """The links of a page."""
    found = Links()
    found.feed(path.read_text(encoding="utf-8"))
    return found


def test_every_link_leads_somewhere(site: Path) -> None:
    """Every page, every link inside the site, with its anchor; the network is for readers."""
    pages = {path: read(path) for path in site.rglob("*.html") if path.name != "404.html"}
    dead = []
    for path, found in pages.items():
        for target in found.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            anchored = parts.fragment and file in pages
            if not file.is_file() or (
                anchored and unquote(parts.fragment) not in pages[file].names
            ):
                dead.append(f"{path.relative_to(site)}: {target}")
    assert len(pages) > 60
    assert dead == []


def test_a_reader_finds_a_lab_its_programs_and_its_evidence(visit: Visit) -> None:
    """Home, labs, a lab, its tabs, line by line, and from a verdict to the run's report."""
    page = visit.open("index.html")
    page.get_by_role("link", name="train", exact=True).first.click()
    page.wait_for_url("**/labs/train.html")
    assert page.get_by_role("heading", level=1).inner_text().startswith("Train a regressor")
    for title, words in (("TensorFlow 1", "tf.placeholder"), ("PyTorch", "torch.nn.Module")):
        page.locator(".tabbed-labels label", has_text=title).click()
        assert page.locator(".tabbed-block:visible", has_text=words).count() == 1
    assert page.locator("figure svg.plot").count() >= 1
    page.get_by_role("link", name="Line by line").click()
    page.wait_for_url("**/train-line-by-line.html")
    assert page.locator(".side-by-side th").all_inner_texts() == ["pytorch.py", "tf1.py", "tf2.py"]
    page.go_back()
    page.locator("td a[href*='last-run.html#']").first.click()
    page.wait_for_url("**/last-run.html#cell-*")


def test_tabs_work_from_the_keyboard(visit: Visit) -> None:
    """Focus a tab, press an arrow: the next program shows."""
    page = visit.open("labs/train.html")
    page.locator(".tabbed-set input").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".tabbed-block:visible", has_text="tf.placeholder").count() == 1


def test_search_finds_a_lab_without_a_server(visit: Visit) -> None:
    """The index is a file beside the pages; it works from a disk, too."""
    page = visit.open("index.html")
    page.locator("input.md-search__input").click()
    page.keyboard.type("karate", delay=30)
    hit = page.locator(".md-search-result__link[href*='graph-network']").first
    hit.wait_for()
    hit.click()
    page.wait_for_url("**/labs/graph-network.html*")


def test_light_and_dark_follow_the_system_and_the_switch(visit: Visit) -> None:
    """Plots, too: their lines are the page's ink."""
    visit.page.emulate_media(color_scheme="dark")
    page = visit.open("labs/train.html")
    body = page.locator("body")
    assert body.get_attribute("data-md-color-scheme") == "slate"
    ink = "getComputedStyle(document.querySelector('svg.plot')).color"
    dark = page.evaluate(ink)
    page.locator("label[title='Switch to light mode']").click()
    assert body.get_attribute("data-md-color-scheme") == "default"
    assert page.evaluate(ink) != dark


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_barrier(name: str, scheme: str, visit: Visit) -> None:
    """axe-core finds nothing that is serious or critical."""
    visit.page.emulate_media(color_scheme=scheme)
    page = visit.open(name)
    page.wait_for_timeout(300)
    assert barriers(page) == []


def barriers(page: Page, options: dict[str, object] = AXE) -> list[str]:
    """What axe-core calls serious or critical, with the first elements that have it."""
    # Without `preload`, which asks for style sheets in a way that a disk refuses.
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_at_all_has_a_serious_barrier_or_is_wider_than_a_phone(
    scheme: str, visit: Visit, site: Path
) -> None:
    """Every page of the site: the docs and references, too, whoever adds one."""
    visit.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    visit.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    found = {}
    for path in sorted(site.rglob("*.html")):
        name = str(path.relative_to(site))
        if name == "404.html":
            continue  # for servers: its addresses begin at their root
        page = visit.open(name)
        told = barriers(page, AXE if scheme == "light" else CONTRAST)
        widest = page.evaluate("document.documentElement.scrollWidth")
        told += [f"{widest} wide"] if widest > WIDTHS[0] else []
        if told:
            found[name] = told
    assert found == {}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_screen(name: str, width: int, visit: Visit, tmp_path: Path) -> None:
    """Wide things scroll in their own boxes; the page itself never scrolls sideways."""
    visit.page.set_viewport_size({"width": width, "height": 900})
    page = visit.open(name)
    page.wait_for_timeout(200)
    widest = page.evaluate("document.documentElement.scrollWidth")
    assert widest <= width, f"{name} is {widest} wide"
    assert len(page.screenshot(path=tmp_path / "shot.png")) > 5_000
