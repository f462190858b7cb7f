"""File systems compared: every field of a path counts."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paritylab.reproduce import Difference, Entry, differences, manifest

ENTRY = Entry(mode="-rw-r--r--", owner="0:0", content="aa", modified=1)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    """An archive in memory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    out.seek(0)
    return out


def member(name: str, kind: bytes = tarfile.REGTYPE, **facts: object) -> tarfile.TarInfo:
    """A member that is dated and owned as told."""
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in facts.items():
        setattr(info, key, value)
    return info


def test_files_folders_and_links_are_read(tmp_path: Path) -> None:
    """What `ls -l` shows, and the content."""
    found = manifest(
        tar(
            (member("./opt/", tarfile.DIRTYPE, mode=0o755, mtime=5), b""),
            (member("./opt/a", mode=0o644, uid=7, gid=8, mtime=6.5), b"text"),
            (member("opt/b", tarfile.SYMTYPE, linkname="a", mode=0o777), b""),
            (member("opt/c", tarfile.LNKTYPE, linkname="opt/a"), b""),
        )
    )
    assert found["opt"].mode == "drwxr-xr-x"
    assert (found["opt/a"].owner, found["opt/a"].modified) == ("7:8", 6)
    assert found["opt/a"].content.startswith("982d9e3e")
    assert (found["opt/b"].mode, found["opt/b"].content) == ("lrwxrwxrwx", "a")
    assert found["opt/c"].content == "opt/a"


@pytest.mark.parametrize(
    "changed", [{"mode": "-rwxr-xr-x"}, {"owner": "1:0"}, {"content": "bb"}, {"modified": 2}]
)
def test_one_changed_field_is_one_difference(changed: dict[str, object]) -> None:
    """Told with its path, its name and both values."""
    from dataclasses import replace  # noqa: PLC0415

    [(name, value)] = changed.items()
    [found] = differences({"a": ENTRY}, {"a": replace(ENTRY, **changed)})
    assert found == Difference(
        path="a", what=name, before=str(getattr(ENTRY, name)), after=str(value)
    )


def test_a_path_that_only_one_has_is_a_difference() -> None:
    """In either direction."""
    found = differences({"a": ENTRY, "b": ENTRY}, {"b": ENTRY, "c": ENTRY})
    assert [(one.path, one.before, one.after) for one in found] == [
        ("a", "there", "not there"),
        ("c", "not there", "there"),
    ]


@given(st.dictionaries(st.text(max_size=3), st.builds(
    Entry, mode=st.text(max_size=2), owner=st.just("0:0"), content=st.text(max_size=2),
    modified=st.integers())))  # fmt: skip
def test_equal_file_systems_have_no_difference(entries: dict[str, Entry]) -> None:
    """Whatever they hold."""
    assert differences(entries, dict(reversed(entries.items()))) == []
