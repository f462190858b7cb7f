"""site: every page is made of what the project says already, and nothing gets lost on the way."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st

from paritylab import catalog
from paritylab.accept import accept
from paritylab.catalog import Catalog
from paritylab.cli.site import _newest
from paritylab.cli.site import reference as commands
from paritylab.errors import UsageError
from paritylab.model import CellResult, Verdict
from paritylab.report import document, write_json
from paritylab.site import sidebyside, tables, write_tree
from paritylab.site.links import relinked
from paritylab.site.reference import modules

EVIL = "<script>alert(1)</script> | [x](javascript:alert(1)) `code` <img src=x onerror=y> {{ 1 }}"


@pytest.fixture(scope="module")
def loaded() -> Catalog:
    """The project itself."""
    return catalog.load(PROJECT)


@pytest.fixture(scope="module")
def tree(loaded: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site's sources, without a run."""
    folder = tmp_path_factory.mktemp("site") / "sources"
    return write_tree(loaded, None, commands=commands(), folder=folder)


def test_every_lab_has_its_lesson_programs_and_claims(tree: Path, loaded: Catalog) -> None:
    """A lab that is added appears; a program on the page is the program that runs."""
    for lab in loaded.labs.values():
        page = (tree / f"docs/labs/{lab.slug}.md").read_text()
        title = (lab.folder / "README.md").read_text().splitlines()[0]
        assert page.startswith(title)
        assert "## Exercises" in page
        for one in lab.implementations.values():
            if one.source:
                shown = sidebyside.shown(one.source.read_text())
                assert "".join(f"    {x}\n" if x else "\n" for x in shown.splitlines()) in page
        for claim in lab.claims:
            assert tables.text(claim.text) in page
        for output in lab.outputs:
            assert tables.code(output) in page
    assert "SOLUTION" not in "".join(p.read_text() for p in (tree / "docs/labs").glob("*.md"))


def test_every_guide_command_and_module_is_on_a_page(tree: Path) -> None:
    """docs/ and the command line grow without anybody typing a navigation."""
    nav = (tree / "mkdocs.yml").read_text()
    for path in (PROJECT / "docs").glob("*.md"):
        if path.name != "claims.md":
            assert f"guides/{path.name}" in nav
    text = (tree / "docs/reference/command-line.md").read_text()
    for command in ("run", "doctor", "site", "new-course", "images build", "report"):
        assert f"## `paritylab {command}`" in text
    assert "paritylab.engines.base" in modules()["engines"]
    for page in modules():
        assert (tree / f"docs/reference/{page}.md").is_file()
    about = yaml.safe_load(nav)
    listed = set(re.findall(r"[\w/.-]+\.md", json.dumps(about["nav"])))
    written = {str(p.relative_to(tree / "docs")) for p in (tree / "docs").rglob("*.md")}
    assert {name for name in written - listed if not name.endswith("-line-by-line.md")} == set()
    assert listed <= written


def test_the_site_asks_nothing_from_anywhere(tree: Path) -> None:
    """No font, script, style or picture of another host in what we write."""
    about = (tree / "mkdocs.yml").read_text() + (tree / "docs/assets/site.css").read_text()
    assert "http" not in about
    assert "font: false" in about
    assert "@import" not in about


def test_what_a_run_said_is_escaped(loaded: Catalog, tmp_path: Path) -> None:
    """Messages and names of a results.json are words, in Markdown, in HTML and in Jinja."""
    [(slug, lab), *_] = loaded.labs.items()
    cell = CellResult(
        cell=f"{slug}-pytorch@{EVIL}", lab=slug, implementation=EVIL, environment=EVIL,
        device="cpu", profile="portable", verdict=Verdict.FAILED, message=EVIL,
    )  # fmt: skip
    write_json(tmp_path / "r.json", document([cell], [], {"engine": EVIL}))
    only = Catalog(root=PROJECT, labs={slug: lab}, environments=loaded.environments)
    tree = write_tree(only, tmp_path / "r.json", commands="# x\n", folder=tmp_path / "site")
    for page in (tree / "docs").rglob("*.md"):
        text = page.read_text()
        assert "<script>alert" not in text, page
        assert "<img src=x" not in text, page
        assert "](javascript:" not in text, page


def test_a_file_that_is_no_run_is_told(loaded: Catalog, tmp_path: Path) -> None:
    """The same words as everywhere; nothing is written."""
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(UsageError, match=r"no results\.json"):
        write_tree(loaded, tmp_path / "r.json", commands="", folder=tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_the_newest_run_of_every_lab_is_shown(loaded: Catalog, tmp_path: Path) -> None:
    """A run of one lab, or a smoke test on a GPU, made later, does not empty the other pages."""
    two = dict(list(loaded.labs.items())[:2])
    here = Catalog(root=tmp_path, labs=two, environments=loaded.environments)
    cells = [
        CellResult(
            cell=f"{slug}-pytorch@tf2-cpu", lab=slug, implementation="pytorch", environment="tf2",
            device="cpu", profile="portable", verdict=Verdict.CLOSE,
        )
        for slug in two
    ]  # fmt: skip
    assert _newest(here) is None
    runs = [("lab", cells, False), ("lab-cpu-tf2", cells[:1], False), ("lab-cuda", cells, True)]
    for age, (name, ran, smoke) in enumerate(runs):
        path = tmp_path / f"reports/{name}.json"
        write_json(path, document(ran, [], {"engine": "venv", "smoke": smoke}))
        os.utime(path, (age, age))
    (tmp_path / "reports/lab-broken.json").write_text("{")
    assert _newest(here) == tmp_path / "reports/lab.json"


def test_a_course_of_its_own_can_have_a_site(project: Path, tmp_path: Path) -> None:
    """Without docs/ and README.md too: a folder with labs/ and environments/ is enough."""
    accept(catalog.load(project).labs["double"], [], []).write()
    tree = write_tree(catalog.load(project), None, commands="# x\n", folder=tmp_path / "site")
    assert (tree / "docs/labs/double.md").is_file()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](../train/README.md)", "[a](train.md)"),
        ("[a](../train/README.md#x)", "[a](train.md#x)"),
        ("[a](../../docs/claims.md)", "[a](../claims.md)"),
        ("[a](https://example.org/x.md)", "[a](https://example.org/x.md)"),
        ("[a](#here)", "[a](#here)"),
        ("[file](pytorch.py)", "file"),
        ("[gone](nowhere.md)", "[gone](nowhere.md)"),
        ('`signatures["default"](x)`', '`signatures["default"](x)`'),
    ],
)
def test_links_follow_their_pages(text: str, expected: str) -> None:
    """Between files of the repository; what leads nowhere stays for the strict build to tell."""
    pages = {
        "labs/multiply/README.md": "labs/multiply.md",
        "labs/train/README.md": "labs/train.md",
        "docs/claims.md": "claims.md",
    }
    assert relinked(text, "labs/multiply/README.md", pages, PROJECT) == expected


def test_a_link_called_like_a_file_is_called_like_its_page() -> None:
    """A reader of the site has never seen a file's name; other names stay."""
    pages = {"docs/ci.md": "guides/ci.md", "docs/cuda.md": "guides/cuda.md"}
    text = "[ci.md](ci.md), [docs/ci.md](ci.md#x), [how](ci.md)"
    heading = (PROJECT / "docs/ci.md").read_text().partition("\n")[0].removeprefix("# ")
    assert relinked(text, "docs/cuda.md", pages, PROJECT) == (
        f"[{heading}](ci.md), [{heading}](ci.md#x), [how](ci.md)"
    )


def test_sections_of_the_same_name_begin_on_the_same_line() -> None:
    """That is what makes the comparison one."""
    rows = sidebyside.aligned(
        {
            "a": "import a\n# Data: one\nx\ny\n# Loss\nl\n",
            "b": "import b\nimport c\n# Data, two\nx\n# Extra\ne\n# Loss\nl\n",
        }
    )
    assert ("# Data: one", "# Data, two") in rows
    assert ("# Loss", "# Loss") in rows
    assert (None, "# Extra") in rows
    assert ("y", None) in rows


LINES = st.lists(
    st.sampled_from(["# Data", "# Loss: x", "    # Network", "x = 1", "", "# lower", "'''", "y"])
)


@given(st.lists(LINES, min_size=1, max_size=3))
def test_no_line_of_a_program_is_lost_or_doubled(programs: list[list[str]]) -> None:
    """Each column holds exactly the lines of its program, whatever the sections' order."""
    named = {f"{place}.py": "\n".join(lines) for place, lines in enumerate(programs)}
    rows = sidebyside.aligned(named)
    for place, text in enumerate(named.values()):
        column = [row[place] for row in rows if row[place] is not None]
        assert sorted(column) == sorted(text.splitlines())
    assert sidebyside.table(named, caption="c").count("<tr") == len(rows) + 1


@given(st.text())
def test_any_text_is_one_cell_of_a_table(value: str) -> None:
    """No bar, line break or tag of a message gets out of its place."""
    told = tables.text(value)
    assert "|" not in told
    assert "\n" not in told
    assert not re.search(r"(?<!\\)<", re.sub(r"`[^`]*`", "", told))


def test_the_page_of_commands_has_all_of_them_whatever_was_loaded() -> None:
    """`paritylab site` itself imports no other command."""
    code = (
        "from paritylab.cli import load; load(['site']); from paritylab.cli.site import reference"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(reference())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "## `paritylab run`" in done.stdout
    assert "## `paritylab site`" in done.stdout
