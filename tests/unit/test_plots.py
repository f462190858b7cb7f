"""plots: pictures of a run, from results.json alone."""

import json
from pathlib import Path

from paritylab.model import CellResult
from paritylab.plots import plot
from paritylab.results import read

PNG = b"\x89PNG"


def cells(folder: Path, *losses: list[float | None]) -> tuple[CellResult, ...]:
    """The cells of a results.json with one lab and a cell per loss curve, read from the file."""
    plain = [
        {
            "cell": f"train-{i}", "lab": "train", "implementation": "tf1", "environment": "tf2",
            "device": "cpu", "profile": "portable", "verdict": "close", "curves": {"loss": loss},
        }
        for i, loss in enumerate(losses)
    ]  # fmt: skip
    path = folder / "results.json"
    path.write_text(json.dumps({"schema_version": 1, "cells": plain}))
    return read(path).cells


def test_every_curve_becomes_a_picture_even_with_gaps(tmp_path: Path) -> None:
    """NaN is null in JSON; a diverged run is the one somebody wants to see."""
    found = cells(tmp_path, [1.0, 0.5, 0.0], [1.0, None, 0.25])
    [path] = plot(found, tmp_path / "pictures")
    assert path.name == "train-loss.png"
    assert path.read_bytes().startswith(PNG)


def test_a_lab_may_draw_a_picture_of_its_own(tmp_path: Path) -> None:
    """picture.py gets a figure and its own cells only, as plain data."""
    for lab in ("train", "other"):
        (tmp_path / "labs" / lab).mkdir(parents=True)
        (tmp_path / "labs" / lab / "picture.py").write_text(
            "def draw(figure, cells):\n    figure.suptitle(str([c['cell'] for c in cells]))\n"
        )
    found = cells(tmp_path, [1.0])
    names = [path.name for path in plot(found, tmp_path / "out", tmp_path / "labs")]
    assert names == ["train-loss.png", "train.png"]
