"""atomic: a file is there whole, or as it was."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from paritylab import atomic


def test_text_and_bytes_arrive_in_folders_that_did_not_exist(tmp_path: Path) -> None:
    """Text is UTF-8; the path comes back."""
    path = tmp_path / "a/b/é.txt"
    assert atomic.write(path, "日本\n") == path
    assert path.read_bytes() == "日本\n".encode()
    assert atomic.write(path, b"\x00\xff").read_bytes() == b"\x00\xff"


def test_pieces_are_written_one_after_the_other_or_not_at_all(tmp_path: Path) -> None:
    """A page is never held whole; where the writer of it fails, the old one stays."""
    path = atomic.write(tmp_path / "page.html", iter(["日", b"\xe6\x9c\xac", "\n"]))
    assert path.read_text() == "日本\n"

    def broken() -> Iterator[str]:
        yield "half "
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        atomic.write(path, broken())
    assert path.read_text() == "日本\n"
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    """What cannot be written changes nothing: half a gradebook would be worse than an old one."""
    path = tmp_path / "grades.csv"
    atomic.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        atomic.write(path, "new \ud800")
    (tmp_path / "taken/inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        atomic.write(tmp_path / "taken", "x")
    assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["grades.csv", "taken"]


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    """A report is no secret file: a web server can serve it."""
    before = os.umask(0o027)
    try:
        path = atomic.write(tmp_path / "report.html", "x")
        assert path.stat().st_mode & 0o777 == 0o640
        assert os.umask(0o027) == 0o027, "the umask stays as it was"
    finally:
        os.umask(before)


def test_the_umask_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for it means changing it, and two threads at once would leave it changed."""

    def asked(_: int) -> int:
        raise AssertionError("the umask was changed")

    monkeypatch.setattr(os, "umask", asked)
    atomic.write(tmp_path / "a", "x")
