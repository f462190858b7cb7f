"""plots: pictures of a run, from results.json alone."""

from pathlib import Path

import pytest

from paritylab.errors import UsageError
from paritylab.plots import plot, read_results

PNG = b"\x89PNG"


def document(*losses: list[float | None]) -> dict:
    """A results.json with one lab and a cell per loss curve."""
    cells = [
        {"cell": f"train-{i}", "lab": "train", "implementation": "tf1", "curves": {"loss": loss}}
        for i, loss in enumerate(losses)
    ]
    return {"schema_version": 1, "cells": cells}


def test_every_curve_becomes_a_picture_even_with_gaps(tmp_path: Path) -> None:
    """NaN is null in JSON; a diverged run is the one somebody wants to see."""
    results = document([1.0, 0.5, 0.0], [1.0, None, 0.25])
    [path] = plot(results, tmp_path / "pictures")
    assert path.name == "train-loss.png"
    assert path.read_bytes().startswith(PNG)


def test_a_lab_may_draw_a_picture_of_its_own(tmp_path: Path) -> None:
    """picture.py gets a figure and its own cells only."""
    for lab in ("train", "other"):
        (tmp_path / "labs" / lab).mkdir(parents=True)
        (tmp_path / "labs" / lab / "picture.py").write_text(
            "def draw(figure, cells):\n    figure.suptitle(str([c['cell'] for c in cells]))\n"
        )
    names = [path.name for path in plot(document([1.0]), tmp_path / "out", tmp_path / "labs")]
    assert names == ["train-loss.png", "train.png"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 2, "cells": []}', "[" * 99999]
)
def test_what_is_no_results_json_is_refused(tmp_path: Path, text: str) -> None:
    """A sentence with the command that makes one, no traceback."""
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"is no results\.json"):
        read_results(path)
