"""Everything that MkDocs reads: pages as Markdown, pictures, style and configuration."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from paritylab import atomic, matrix, plots
from paritylab.catalog import Catalog
from paritylab.expected import read_expected
from paritylab.folders import renew
from paritylab.html import report
from paritylab.html.page import asset
from paritylab.matrix import Selection
from paritylab.model import CellResult, Lab, Verdict
from paritylab.results import Results, read
from paritylab.site import reference, tables
from paritylab.site.config import config
from paritylab.site.labpage import lab_page
from paritylab.site.links import relinked

REPORT = "last-run.html"
FIRST_DOCS = ("instructors", "results", "auditing", "ci")
"""Pages of docs/ in the order of their readers; the others follow by name."""
_RULES = re.compile(r":root\s*\{[^}]*\}")
_templates = Environment(  # Markdown: what it is given is escaped by site.tables or is trusted text
    loader=PackageLoader("paritylab.site"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701
)
_templates.filters["oneline"] = lambda drawn: " ".join(str(drawn).split())


@dataclass(frozen=True)
class Site:
    """A site in the making: the project, a run (or None), the command line's help, the folder."""

    catalog: Catalog
    run: Path | None
    commands: str
    folder: Path
    results: Results | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "results", read(self.run) if self.run else None)

    @property
    def docs(self) -> Path:
        """The folder of the pages."""
        return self.folder / "docs"

    @property
    def cells(self) -> tuple[CellResult, ...]:
        """The cells of the run that belong to labs of the project."""
        found = self.results.cells if self.results else ()
        return tuple(cell for cell in found if cell.lab in self.catalog.labs)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file below ``docs``."""
        path = self.docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_tree(catalog: Catalog, run: Path | None, *, commands: str, folder: Path) -> Path:
    """Write the site's sources into ``folder`` (made anew) and return it.

    ``run`` is a results.json; without one the pages have no verdicts and no curves. ``commands`` is
    the command line's help as Markdown. Raises UsageError for a file that is no results.json,
    and for a folder with files of somebody else.
    """
    site = Site(catalog, run, commands, folder)
    renew(folder)
    pages = _pages(catalog)
    for source, page in pages.items():
        if source.endswith(".svg"):
            site.write(page, (catalog.root / source).read_bytes())
        elif not source.startswith("labs/"):
            site.write(page, _document(site, source, pages))
    pictures = _pictures(site)
    for lab in catalog.labs.values():
        source = f"labs/{lab.slug}/README.md"
        lesson = relinked((catalog.root / source).read_text("utf-8"), source, pages, catalog.root)
        _lab(site, lab, lesson, pictures.get(lab.slug))
    site.write("index.md", _index(site))
    site.write("claims.md", _claims(site))
    site.write("reference/command-line.md", commands)
    for name, text in reference.pages():
        site.write(f"reference/{name}.md", text)
    _assets(site)
    about = config(*_lead(catalog.root), _nav(site, pages), reference.PACKAGE.parent)
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")
    return folder


def _pages(catalog: Catalog) -> dict[str, str]:
    """Files of the repository that are pages: source -> page."""
    found = {"README.md": "start.md", "CONTRIBUTING.md": "contributing.md"}
    found |= {f"labs/{slug}/README.md": f"labs/{slug}.md" for slug in catalog.labs}
    found |= {f"environments/{e}/README.md": f"environments/{e}.md" for e in catalog.environments}
    names = [path.name for path in sorted((catalog.root / "docs").glob("*.md"))]
    found |= {f"docs/{name}": f"guides/{name}" for name in names}
    drawn = sorted((catalog.root / "docs/pictures").glob("*.svg"))
    found |= {f"docs/pictures/{path.name}": f"pictures/{path.name}" for path in drawn}
    # The site has a page of claims of its own, with colours and links.
    found["docs/claims.md"] = "claims.md"
    return {source: page for source, page in found.items() if (catalog.root / source).is_file()}


def _document(site: Site, source: str, pages: dict[str, str]) -> str:
    text = (site.catalog.root / source).read_text("utf-8")
    return relinked(text, source, pages, site.catalog.root)


def _lead(root: Path) -> tuple[str, str]:
    """Title and first paragraph of README.md, or the folder's name and nothing."""
    path = root / "README.md"
    head, _, rest = (path.read_text("utf-8") if path.is_file() else root.name).partition("\n\n")
    return head.removeprefix("# ").strip(), rest.partition("\n\n")[0]


def _index(site: Site) -> str:
    title, lead = _lead(site.catalog.root)
    labs = site.catalog.labs.values()
    ran = [cell for cell in site.cells if cell.verdict is not Verdict.UNSUPPORTED]
    keys = report.keys(site.results) if site.results else {}
    rows = ([f"[{tables.text(x.slug)}](labs/{x.slug}.md)", tables.text(x.title)] for x in labs)
    return _templates.get_template("index.md.j2").render(
        title=title,
        lead=lead,
        run=_described(site.results),
        start="README.md" in _pages(site.catalog),
        ran=len(ran),
        green=sum(cell.verdict.green for cell in ran),
        report=REPORT,
        matrix=tables.matrix(site.cells, site.catalog.labs, REPORT, keys),
        labs=tables.table(("lab", "what runs"), rows),
    )


def _described(results: Results | None) -> str:
    """When and where a run was made."""
    if results is None:
        return ""
    host = f"{results.host.get('cpu', 'unknown CPU')}, {results.host.get('cores', '?')} cores"
    return tables.text(
        f"{results.created[:10]} ({host}, engine {results.run.get('engine', 'unknown')})"
    )


def _lab(site: Site, lab: Lab, lesson: str, picture: str | None) -> None:
    """Write the lab's page and the comparison of its programs, which needs the whole width."""
    cells = [cell for cell in site.cells if cell.lab == lab.slug]
    expected = json.loads(read_expected(lab).model_dump_json())["outputs"]
    values = {name: _values(one) for name, one in expected.items()}
    page = lab_page(lab, lesson, cells=cells, expected=values, picture=picture)
    link = f"../{REPORT}"
    if site.results and cells:
        places = tables.places(page.cells, link, report.keys(site.results))
    else:
        declared = matrix.cells(site.catalog, Selection(labs=(lab.slug,)))
        places = tables.environments_of(
            lab, ((c.environment.name, c.implementation, c.unsupported) for c in declared)
        )
    here = "[this one](#where-it-runs)"
    text = _templates.get_template("lab.md.j2").render(
        page=page,
        report=link,
        outputs=tables.outputs(page.outputs),
        places=places,
        claims=tables.claims((claim, here) for claim in page.claims),
    )
    site.write(f"labs/{lab.slug}.md", text)
    comparison = _templates.get_template("comparison.md.j2").render(page=page)
    site.write(f"labs/{lab.slug}-line-by-line.md", comparison)


def _values(recorded: dict[str, Any]) -> object:
    if "values" in recorded:
        return recorded["values"]
    return {name: one["values"] for name, one in recorded.items()}


def _claims(site: Site) -> str:
    found = [(claim, lab.slug) for lab in site.catalog.labs.values() for claim in lab.claims]
    linked = ((claim, f"[{tables.text(s)}](labs/{s}.md#claims)") for claim, s in found)
    head = "---\nhide: [navigation]\n---\n\n"
    head += f"# What the guide claims, and what holds today\n\n{len(found)} claims.\n\n"
    return head + tables.claims(linked) + "\n"


def _pictures(site: Site) -> dict[str, str]:
    """Write what labs draw of what they wrote for TensorBoard; lab -> file beside its page."""
    if site.results is None:
        return {}
    found = {}
    drawn = plots.pictures(site.results.cells, site.catalog.root / "labs")
    for slug, figure in drawn.items():
        path = site.docs / "labs" / f"{slug}-tensorboard.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
        found[slug] = path.name
    return found


def _assets(site: Site) -> None:
    style = asset("style.css")
    light, dark = _RULES.findall(style)[:2]
    shared = [line for line in style.splitlines() if line.startswith((".v", "svg.plot"))]
    own = files("paritylab.site") / "assets"
    colors = [
        light.replace(":root", "[data-md-color-scheme=default]"),
        dark.replace(":root", "[data-md-color-scheme=slate]"),
    ]
    # `color-scheme` is Material's to set, by the reader's choice.
    colors = [text.replace("color-scheme: light dark;", "") for text in colors]
    text = "\n".join([*colors, *shared, (own / "site.css").read_text("utf-8")])
    site.write("assets/site.css", text)
    for script in ("iframe-worker.js", "site.js"):
        site.write(f"assets/{script}", (own / script).read_text("utf-8"))
    if site.results:
        atomic.write(site.docs / REPORT, report.pieces(site.results))


def _nav(site: Site, pages: dict[str, str]) -> list[Any]:
    guides: list[Any] = sorted(
        (page for page in pages.values() if page.startswith("guides/")),
        key=lambda page: (_place(page), page),
    )
    if "CONTRIBUTING.md" in pages:
        guides.append({"Contributing": pages["CONTRIBUTING.md"]})
    stacks = [pages[name] for name in pages if name.startswith("environments/")]
    modules = [{name: f"reference/{name}.md"} for name in reference.modules()]
    found: list[tuple[str, Any]] = [
        ("Home", "index.md"),
        ("Start", pages.get("README.md")),
        ("Labs", [{slug: f"labs/{slug}.md"} for slug in site.catalog.labs]),
        ("Claims", "claims.md"),
        ("Environments", stacks),
        ("Guides", guides),
        ("Reference", [{"Command line": "reference/command-line.md"}, {"Python": modules}]),
    ]
    return [{title: content} for title, content in found if content]


def _place(page: str) -> int:
    name = Path(page).stem
    return FIRST_DOCS.index(name) if name in FIRST_DOCS else len(FIRST_DOCS)
