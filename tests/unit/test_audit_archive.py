"""The outer form of bundles: one way to write them, nothing hostile is read."""

import hashlib
import io
import os
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paritylab.audit import archive
from paritylab.errors import BundleError

MEMBERS = {
    "audit.json": b'{"a": 1}\n',
    "environments/tf2-cpu/cpu.lock": b"numpy==2.2.6\n" * 9,
    "outputs/train-tf1@tf1-compat-cpu.npz": bytes(range(256)),
}
NAMES = st.from_regex(archive.NAME, fullmatch=True).filter(lambda n: len(n) <= archive.MAX_NAME)


def written(path: Path, data: bytes) -> Path:
    """The path, with these bytes in it."""
    path.write_bytes(data)
    return path


def foreign(*members: tuple[zipfile.ZipInfo | str, bytes], deflated: bool = False) -> bytes:
    """A zip as any other program may write it."""
    out = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", kind) as made:
        for info, content in members:
            made.writestr(info, content)
    return out.getvalue()


def link() -> bytes:
    """A member that unzip would make a link to a file of the reader's."""
    info = zipfile.ZipInfo("audit.json")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return foreign((info, b"/etc/passwd"))


def huge_claim() -> bytes:
    """A member whose directory entry claims ten gigabytes (as far as 32 bits go: 4 GiB)."""
    data = bytearray(archive.pack({"audit.json": b"x"}))
    entry = data.index(b"PK\x01\x02")
    struct.pack_into("<LL", data, entry + 20, 0xFFFFFFF0, 0xFFFFFFF0)
    return bytes(data)


def ten_gigabytes() -> bytes:
    """The same in the 64-bit form: a claim of 10 GiB in a file of 200 bytes."""
    info = zipfile.ZipInfo("audit.json")
    data = bytearray(foreign((info, b"x")))
    entry = data.index(b"PK\x01\x02")
    extra = struct.pack("<HHQQ", 1, 16, 10 << 30, 10 << 30)
    struct.pack_into("<LL", data, entry + 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", data, entry + 30, len(extra))
    end = data.index(b"PK\x05\x06")
    size = struct.unpack_from("<L", data, end + 12)[0]
    struct.pack_into("<L", data, end + 12, size + len(extra))
    name_end = entry + 46 + len("audit.json")
    return bytes(data[:name_end] + extra + data[name_end:])


def directory_of_millions() -> bytes:
    """Entries alone, each of which becomes an object of half a kilobyte before one can count."""
    data = foreign(("a", b""))
    entry, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    many = data[entry:end] * 130_000
    last = bytearray(data[end:])
    struct.pack_into("<L", last, 12, len(many))
    return data[:entry] + many + bytes(last)


def elsewhere_in_64_bits() -> bytes:
    """The same, told by the 64-bit records, which go before the others."""
    data = directory_of_millions()
    end = data.index(b"PK\x05\x06")
    entry = data.index(b"PK\x01\x02")
    wide = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, end - entry, entry)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    last = bytearray(data[end:])
    struct.pack_into("<L", last, 12, 0xFFFF)
    return data[:end] + wide + locator + bytes(last)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty-file": lambda: b"",
    "no-zip": lambda: b"PK\x03\x04 and then nothing of the kind",
    "traversal": lambda: foreign(("../../etc/cron.d/x", b"")),
    "absolute": lambda: foreign(("/etc/cron.d/x", b"")),
    "backslash": lambda: foreign(("..\\x", b"")),
    "drive": lambda: foreign(("C:/x", b"")),
    "hidden": lambda: foreign((".ssh/authorized_keys", b"")),
    "nul-in-name": lambda: foreign((zipfile.ZipInfo("a"), b"")).replace(b"a", b"\0"),
    "folder": lambda: foreign(("outputs/", b"")),
    "symlink": link,
    "bomb": lambda: foreign(("audit.json", b"0" * (8 << 20)), deflated=True),
    "claims-4-gib": huge_claim,
    "claims-10-gib": ten_gigabytes,
    "directory-of-millions": directory_of_millions,
    "directory-of-millions-64": elsewhere_in_64_bits,
    "prepended": lambda: b"#!/bin/sh\n" + archive.pack(MEMBERS),
    "appended": lambda: archive.pack(MEMBERS) + b"\0",
    "dated": lambda: foreign((zipfile.ZipInfo("audit.json", (2026, 1, 1, 0, 0, 0)), b"{}")),
}


@pytest.mark.parametrize("fixture", HOSTILE)
def test_hostile_zips_are_refused_in_words(fixture: str, tmp_path: Path) -> None:
    """Whatever another program writes, or an attacker, ends in one clear refusal."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BundleError) as caught:
        archive.unpack(written(tmp_path / "audit.zip", HOSTILE[fixture]()))
    assert caught.value.exit_code == 2
    assert "audit" in str(caught.value) or "name" in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == [*before, tmp_path / "audit.zip"]


@pytest.mark.parametrize("fixture", [directory_of_millions, elsewhere_in_64_bits])
def test_a_directory_is_measured_before_it_is_read(
    fixture: Callable[[], bytes], tmp_path: Path
) -> None:
    """What `zipfile` makes of each entry is ten times as large as the entry."""
    path = written(tmp_path / "audit.zip", fixture())
    tracemalloc.start()
    with pytest.raises(BundleError):
        archive.unpack(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * path.stat().st_size


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """The first or the last one? Programs differ, so neither."""
    with pytest.warns(UserWarning, match="Duplicate"):
        data = foreign(("audit.json", b"1"), ("audit.json", b"2"))
    with pytest.raises(BundleError, match=r"audit\.json is there twice"):
        archive.unpack(written(tmp_path / "audit.zip", data))


def test_a_sparse_file_of_ten_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    """The size of the file is asked for before a byte of it is read."""
    path = tmp_path / "audit.zip"
    with path.open("wb") as file:
        file.write(archive.pack(MEMBERS))
        file.truncate(10 << 30)
    with pytest.raises(BundleError, match="too much"):
        archive.unpack(path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    """A folder; a pipe must not make us wait for ever."""
    make(tmp_path / "audit.zip")
    with pytest.raises(BundleError):
        archive.unpack(tmp_path / "audit.zip")


def test_a_changed_member_is_named(tmp_path: Path) -> None:
    """The reader learns which file to distrust."""
    data = bytearray(archive.pack(MEMBERS))
    data[data.index(b"numpy==2.2.6") + 7] ^= 1
    with pytest.raises(BundleError, match=r"environments/tf2-cpu/cpu\.lock was changed"):
        archive.unpack(written(tmp_path / "audit.zip", bytes(data)))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(archive.pack(MEMBERS)) - 1), flip=st.integers(1, 255))
def test_any_flipped_byte_is_refused(at: int, flip: int, tmp_path: Path) -> None:
    """In contents, headers, dates, flags, the directory and the end: none goes unnoticed."""
    data = bytearray(archive.pack(MEMBERS))
    data[at] ^= flip
    with pytest.raises(BundleError):
        archive.unpack(written(tmp_path / "audit.zip", bytes(data)))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(0, len(archive.pack(MEMBERS)) - 1))
def test_any_truncation_is_refused(size: int, tmp_path: Path) -> None:
    """A download that broke off is told apart from a bundle wherever it broke off."""
    with pytest.raises(BundleError):
        archive.unpack(written(tmp_path / "audit.zip", archive.pack(MEMBERS)[:size]))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
def test_any_bytes_end_in_a_refusal(data: bytes, tmp_path: Path) -> None:
    """No input gives a traceback."""
    with pytest.raises(BundleError):
        archive.unpack(written(tmp_path / "audit.zip", data))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=st.dictionaries(NAMES, st.binary(max_size=200), max_size=6))
def test_what_is_packed_comes_back(members: dict[str, bytes], tmp_path: Path) -> None:
    """Packing and unpacking are each other's inverse, whatever the order of the members."""
    backwards = dict(reversed(members.items()))
    data = archive.pack(members)
    assert data == archive.pack(backwards)
    assert archive.unpack(written(tmp_path / "audit.zip", data)) == members


def test_the_form_is_the_same_on_every_python() -> None:
    """A bundle of one Python must verify on another: these bytes are what they have in common."""
    found = hashlib.sha256(archive.pack(MEMBERS)).hexdigest()
    assert found == "a0719997a6519497c12f7fe852d21fa8681d7ac3c64a7c5d372168d386704e52"


def test_a_name_that_could_not_be_read_back_is_not_written() -> None:
    """The writer keeps the reader's rules."""
    with pytest.raises(BundleError, match="no name"):
        archive.pack({"../x": b""})
