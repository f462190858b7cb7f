"""Submissions that are too large to be looked at in a unit test: archives of real size."""

from __future__ import annotations

import io
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from paritylab import catalog
from paritylab.grade import submissions
from paritylab.grade.model import Submission
from paritylab.grade.rules import AttemptRule

PROJECT = Path(__file__).parent.parent.parent
SOURCE = b"def run(inputs, workdir):\n    return {}\n"
COUNT = 100_000


def tarred(files: dict[str, bytes]) -> bytes:
    """A compressed tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def crowd(count: int) -> dict[str, bytes]:
    """So many empty files, and a source behind them."""
    return {f"data/{i}": b"" for i in range(count)} | {"pytorch.py": SOURCE}


def read(folder: Path) -> tuple[Submission, float]:
    """The one submission of a folder, and the seconds of processor time that reading it took."""
    lab = catalog.load(PROJECT, labs=("train",)).labs["train"]
    began = time.process_time()
    (one,) = submissions.read(
        folder, lab, implementations=("pytorch",), names=None, rule=AttemptRule()
    )
    return one, time.process_time() - began


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("eve.tar.gz", lambda: tarred(crowd(COUNT))),
        ("eve.zip", lambda: zipped(crowd(60_000))),
    ],
)
def test_a_source_among_very_many_files_is_found(
    tmp_path: Path, name: str, content: Callable[[], bytes]
) -> None:
    """A data set packed with the source costs seconds, not the submission."""
    (tmp_path / name).write_bytes(content())
    one, seconds = read(tmp_path)
    assert one.sources == {"pytorch": SOURCE.decode()}
    assert seconds < 20


def test_a_zip_of_a_hundred_thousand_files_is_refused_in_words(tmp_path: Path) -> None:
    """Beyond 65,535 entries a zip has another table of contents, which is not read."""
    (tmp_path / "eve.zip").write_bytes(zipped(crowd(COUNT)))
    one, seconds = read(tmp_path)
    assert "more files than can be looked at" in one.faults[0]
    assert seconds < 2


def test_a_folder_of_a_hundred_thousand_files_is_looked_through(tmp_path: Path) -> None:
    """Unpacked by the platform already: only names are read."""
    (tmp_path / "eve").mkdir()
    for number in range(COUNT):
        (tmp_path / "eve" / str(number)).touch()
    (tmp_path / "eve" / "pytorch.py").write_bytes(SOURCE)
    one, seconds = read(tmp_path)
    assert one.sources
    assert seconds < 20


def test_a_tar_bomb_in_front_of_the_source_stops_early(tmp_path: Path) -> None:
    """What unpacks to half a gigabyte is not unpacked, and never lies in memory."""
    data = tarred({"zeros": b"\0" * (500 << 20), "pytorch.py": SOURCE})
    (tmp_path / "eve.tar.gz").write_bytes(data)
    tracemalloc.start()
    one, _ = read(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "unpacks to more than 128 MiB" in one.faults[0]
    assert peak < 50 << 20
