"""The example notebook, executed cell by cell with the real frameworks."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.frameworks
EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_an_example_runs_and_shows_table_and_curves(path: Path) -> None:
    """Every cell ends without an error; results are shown as pages with plots."""
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    shown = [
        output.data.get("text/html", "")
        for cell in book.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    pages = [page for page in shown if "paritylab-run" in page]
    assert len(pages) == 3
    assert "v-identical" in pages[0]
    assert "<svg" in pages[0]
    assert "is not installed" in pages[2]
