"""notebook: `paritylab.run` in a notebook or script is the command's equal, and safe to show."""

import json
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from conftest import FIXTURES, PROJECT

import paritylab
from paritylab import catalog
from paritylab.accept import accept
from paritylab.errors import UsageError
from paritylab.model import CellResult, Verdict
from paritylab.results import read


@pytest.fixture
def stand_in(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The fixture project where something called torch can be imported."""
    monkeypatch.syspath_prepend(FIXTURES / "stand_in")
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES / "stand_in"))
    accept(catalog.load(project).labs["double"], [], []).write()
    yield project
    sys.modules.pop("torch", None)


def test_importing_costs_nothing() -> None:
    """`import paritylab` loads neither NumPy nor Matplotlib; the first use of `run` does."""
    code = "import sys, paritylab; print('numpy' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert callable(paritylab.run)
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        _ = paritylab.rnu


def test_run_gives_verdicts_as_text_page_and_file(stand_in: Path, tmp_path: Path) -> None:
    """One call, real worker: what a person reads, what a program reads, what is kept."""
    found = paritylab.run("double", implementation="pytorch", engine="here", root=stand_in)
    assert found.verdicts == {"double-pytorch@here-cpu": "close"}
    assert found.green
    assert "1 cell: 1 close" in repr(found)
    assert "\x1b" not in repr(found)
    assert "double-pytorch@here-cpu" in found._repr_html_()
    kept = read(found.save(tmp_path / "r.json"))
    assert [cell.verdict for cell in kept.cells] == [Verdict.CLOSE]
    assert kept.run["engine"] == "here"
    assert found.document["cells"][0]["verdict"] == "close", "plain data, to be looked into"


def test_wrong_names_are_told(stand_in: Path) -> None:
    """The same errors as on the command line."""
    with pytest.raises(UsageError, match="duoble"):
        paritylab.run("duoble", engine="here", root=stand_in)
    with pytest.raises(UsageError, match="dockr"):
        paritylab.run("double", engine="dockr", root=stand_in)


def test_hostile_text_is_escaped_in_the_notebook() -> None:
    """A lab's message is shown, never run: a notebook's page has the reader's rights."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    from paritylab.notebook import RunResult  # noqa: PLC0415

    cell = CellResult(
        cell=evil, lab="x", implementation="pytorch", environment="e", device="cpu",
        profile="portable", verdict=Verdict.FAILED, message=evil, curves={evil: [1.0, 2.0]},
    )  # fmt: skip
    page = RunResult(results=(cell,), document={})._repr_html_()

    seen: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.add(tag)
            assert not [name for name, _ in attrs if name.startswith("on")]

    Tags().feed(page)
    assert not seen & {"script", "img", "iframe", "link"}
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("path", sorted((PROJECT / "examples").glob("*.ipynb")), ids=str)
def test_example_notebooks_are_valid_and_hold_no_output(path: Path) -> None:
    """What was computed on somebody's machine is not what the reader's will compute."""
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert code
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
    assert "/home" not in json.dumps(book)
