"""submissions: every layout is recognised, every hostile file is a sentence for its student."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import stat
import tarfile
import tempfile
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st

from paritylab import catalog
from paritylab.errors import SubmissionError, UsageError
from paritylab.grade import archives, submissions
from paritylab.grade.model import Submission
from paritylab.grade.notebooks import notebook_of, source_of
from paritylab.grade.parsing import UnreadableError
from paritylab.grade.rules import AttemptRule, attempt_rule, moment
from paritylab.grade.students import ids
from paritylab.grade.texts import decoded
from paritylab.model import Lab

SOURCE = b"def run(inputs, workdir):\n    return {}\n"
OTHER = b"def run(inputs, workdir):\n    return {1: 2}\n"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def lab() -> Lab:
    """A lab that is graded in all three implementations."""
    return catalog.load(PROJECT, labs=("train",)).labs["train"]


def put(folder: Path, files: Files) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def zipped(files: Files) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: Files, mode: str = "w", *special: tarfile.TarInfo) -> bytes:
    """A tar archive, compressed as ``mode`` says."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for info in special:
            archive.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A tar entry that is no file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(folder: Path, lab: Lab, *names: str, **options: object) -> dict[str, Submission]:
    """The submissions of a folder by student."""
    facts = {"names": None, "rule": AttemptRule(), **options}
    chosen = names or ("pytorch", "tf2")
    found = submissions.read(folder, lab, implementations=chosen, **facts)  # type: ignore[arg-type]
    return {one.student: one for one in found}


def alone(tmp_path: Path, lab: Lab, make: Callable[[Path], None], *names: str) -> Submission:
    """The submission that ``make`` writes, beside one that is well and must stay so."""
    put(tmp_path / "well", {"pytorch.py": SOURCE, "tf2.py": OTHER})
    make(tmp_path)
    found = read(tmp_path, lab, *names)
    well = found.pop("well")
    assert not well.faults
    assert set(well.sources) == set(names or ("pytorch", "tf2"))
    (one,) = found.values()
    return one


def archive(name: str, content: bytes | Callable[[], bytes]) -> Callable[[Path], None]:
    """Writes one archive, made when it is needed."""
    return lambda folder: put(folder, {name: content() if callable(content) else content})


# ---- layouts --------------------------------------------------------------------------------
METADATA = """\
submission_1:
  :submitters:
  - :name: Ada Lovelace
    :sid: '17'
    :email: ada@example.org
  :created_at: 2026-01-30 15:30:10.000000000 Z
  :score: 3.0
submission_2:
  :submitters:
  - :name: Kurt G\u00f6del
    :sid:
    :email: kurt@example.org
  - :name: Emmy Noether
    :sid: '19'
  :created_at: 2026-02-01 15:30:10 +0100
"""
GIVEN = {"pytorch.py": SOURCE, "tf2.py": OTHER}


def under(prefix: str, files: Files = GIVEN) -> Files:
    """The files with something before each name."""
    return {f"{prefix}{name}": content for name, content in files.items()}


LAYOUTS: dict[str, tuple[Files, list[str]]] = {
    "a folder per student": (under("ada/") | under("Bob B/sub/"), ["ada", "bob-b"]),
    "an archive per student": (
        {"ada.zip": zipped(GIVEN), "bob.tar": tarred(GIVEN), "cy.tgz": tarred(GIVEN, "w:gz"),
         "dee.tar.bz2": tarred(GIVEN, "w:bz2"), "eve.tar.xz": tarred(GIVEN, "w:xz")},
        ["ada", "bob", "cy", "dee", "eve"],
    ),
    "an archive in a folder": ({"ada/work.zip": zipped(under("work/"))}, ["ada"]),
    "loose files": (under("ada_") | under("bob-"), ["ada", "bob"]),
    "Gradescope": (
        {"submission_metadata.yml": METADATA.encode(), **under("submission_1/"),
         **under("submission_2/")},
        ["17", "19", "kurt-example.org"],
    ),
    "Gradescope in its folder": (
        {"assignment_9_export/submission_metadata.yml": METADATA.encode(),
         **under("assignment_9_export/submission_1/"),
         **under("assignment_9_export/submission_2/")},
        ["17", "19", "kurt-example.org"],
    ),
    "Canvas": (
        under("lovelaceada_123_456_") | under("noetheremmy_LATE_124_460_"),
        ["lovelaceada-123", "noetheremmy-124"],
    ),
    "Canvas, handed in again": (
        {"lovelaceada_123_456_pytorch.py": b"old", "lovelaceada_123_470_pytorch-1.py": SOURCE,
         "lovelaceada_123_471_tf2-1.py": OTHER},
        ["lovelaceada-123"],
    ),
    "Canvas, an archive": ({"lovelaceada_123_456_work.zip": zipped(GIVEN)}, ["lovelaceada-123"]),
    "Moodle": (
        under("Ada Lovelace_123_assignsubmission_file_/"), ["ada-lovelace-123"],
    ),
    "Moodle without folders": (
        under("Ada Lovelace_123_assignsubmission_file_"), ["ada-lovelace-123"],
    ),
    "Moodle, an archive": (
        {"Ada Lovelace_123_assignsubmission_file_/w.zip": zipped(GIVEN)}, ["ada-lovelace-123"],
    ),
    "nbgrader": (
        under("submitted/ada/train/")
        | {"submitted/ada/train/timestamp.txt": b"2026-01-30 15:30:10 UTC"}
        | under("submitted/bob/train/"),
        ["ada", "bob"],
    ),
    "nbgrader, from inside": (
        under("ada/train/") | {"ada/train/timestamp.txt": b"2026-01-30 15:30:10.5 Europe/Rome"},
        ["ada"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "students"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_recognised(
    tmp_path: Path, lab: Lab, files: Files, students: list[str]
) -> None:
    """Who handed in, and both files of each, whatever platform packed them."""
    put(tmp_path, files)
    found = read(tmp_path, lab)
    assert sorted(found) == students
    for one in found.values():
        assert not one.faults
        assert one.sources == {"pytorch": SOURCE.decode(), "tf2": OTHER.decode()}


def test_gradescope_tells_names_times_and_groups(tmp_path: Path, lab: Lab) -> None:
    """Names keep their script; members of a group get the same submission."""
    put(tmp_path, LAYOUTS["Gradescope"][0])
    found = read(tmp_path, lab)
    assert found["17"].name == "Ada Lovelace"
    assert found["17"].submitted == "2026-01-30T15:30:10+00:00"
    kurt, emmy = found["kurt-example.org"], found["19"]
    assert kurt.name == "Kurt G\u00f6del"
    assert kurt.sources == emmy.sources
    assert "handed in together by Kurt G\u00f6del, Emmy Noether" in emmy.notes


def test_a_folder_name_in_metadata_is_no_path(tmp_path: Path, lab: Lab) -> None:
    """Metadata cannot make the reader look outside of the export."""
    put(tmp_path / "out", {"pytorch.py": SOURCE, "tf2.py": OTHER})
    text = METADATA.replace("submission_1", "../out")
    put(tmp_path / "in", {"submission_metadata.yml": text.encode(), **under("submission_2/")})
    assert read(tmp_path / "in", lab)["17"].sources == {}


def test_canvas_says_late_and_the_rule_says_what_it_costs(tmp_path: Path, lab: Lab) -> None:
    """The marker in a file's name is all that Canvas tells."""
    put(tmp_path, LAYOUTS["Canvas"][0])
    found = read(tmp_path, lab, rule=attempt_rule("last", "2026-01-01", "0.25/day"))
    assert (found["noetheremmy-124"].late, found["noetheremmy-124"].penalty) == (True, 0.25)
    assert (found["lovelaceada-123"].late, found["lovelaceada-123"].penalty) == (False, 0.0)


# ---- attempts, lateness, names --------------------------------------------------------------
def test_the_last_attempt_counts_or_the_first(tmp_path: Path, lab: Lab) -> None:
    """One student, two attempts: the rule picks, a note says so."""
    put(
        tmp_path,
        {"ada.zip": zipped({"pytorch.py": SOURCE}), **under("ada/", {"pytorch.py": OTHER})},
    )
    last = read(tmp_path, lab, "pytorch")["ada"]
    first = read(tmp_path, lab, "pytorch", rule=attempt_rule("first", None, None))["ada"]
    assert (last.sources["pytorch"], first.sources["pytorch"]) == (SOURCE.decode(), OTHER.decode())
    assert "2 attempts; the last one counts: ada.zip" in last.notes


@pytest.mark.parametrize(
    ("submitted", "late", "penalty"),
    [
        ("2026-01-31T23:59:00+00:00", False, 0.0),
        ("2026-01-31T23:59:01+00:00", True, 0.1),
        ("2026-02-01T00:59:00+01:00", False, 0.0),
        ("2026-02-02T23:59:00Z", True, 0.2),
        ("2026-02-02T23:59:01Z", True, 0.3),
        ("2027-01-01", True, 1.0),
        ("", False, 0.0),
        ("never", False, 0.0),
    ],
)
def test_lateness_is_counted_in_begun_days(submitted: str, late: bool, penalty: float) -> None:
    """A second late is a day; time zones count; no more than everything is lost."""
    rule = attempt_rule("last", "2026-01-31T23:59", "0.1/day")
    assert rule.lateness(moment(submitted), marked=False) == (late, penalty)


@pytest.mark.parametrize(
    ("attempt", "after", "penalty", "told"),
    [
        ("best", None, None, "unknown attempt `best`"),
        ("last", "tomorrow", None, "no ISO 8601 time"),
        ("last", None, "0.1/day", "without --late-after"),
        ("last", "2026-01-31", "10%/day", "is no penalty"),
        ("last", "2026-01-31", "1.5/day", "is no penalty"),
        ("last", "2026-01-31", "0.1/week", "is no penalty"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    attempt: str, after: str | None, penalty: str | None, told: str
) -> None:
    """Nobody loses points to a typing error."""
    with pytest.raises(UsageError, match=told):
        attempt_rule(attempt, after, penalty)


def test_the_rule_is_told_as_a_table() -> None:
    """What happens is printed, not guessed."""
    rows = dict(attempt_rule("first", "2026-01-31", "0.02/hour").table())
    assert rows["several attempts of a student"] == "the first one counts"
    assert rows["late"].startswith("2% of the score per begun hour")


def test_submissions_csv_gives_names_times_and_who_is_missing(tmp_path: Path, lab: Lab) -> None:
    """A gradebook has a row for everyone, also for those who handed in nothing."""
    put(tmp_path / "in", under("ada/") | under("Bob B/"))
    names = tmp_path / "submissions.csv"
    names.write_text(
        "\ufeffstudent,name,submitted,mail\nada,\u05e2\u05d3\u05d4,2026-02-01T00:00Z,x\n"
        'bob-b,"B, Bob",,y\ncy,Cyrus,,z\n'
    )
    rule = attempt_rule("last", "2026-01-31T12:00Z", "0.1/day")
    found = read(tmp_path / "in", lab, names=names, rule=rule)
    assert found["ada"].name == "\u05e2\u05d3\u05d4"
    assert found["ada"].penalty == 0.1
    assert found["bob-b"].name == "B, Bob"
    assert found["cy"].faults == ("nothing was handed in, or it was not found",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("who,name\nada,Ada\n", "submissions.csv:1: has no column `student`"),
        ("student,name\n,Ada\n", "submissions.csv:2: student: no student"),
        ("student,name\nada,A\nada,B\n", "submissions.csv:3: student: `ada` stands in two"),
        ('student,name\n"ada', "is no CSV file"),
        ("student,name,submitted\nada,A,noon\n", "submissions.csv:2: submitted: `noon` is no"),
        ("student,name\nada,\udcff\n", "cannot be read as UTF-8"),
    ],
)
def test_a_broken_csv_is_told_with_its_line(tmp_path: Path, lab: Lab, text: str, told: str) -> None:
    """It is the instructor's own file: an error, not a fault of a student."""
    put(tmp_path / "in", under("ada/"))
    names = tmp_path / "submissions.csv"
    names.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SubmissionError) as caught:
        read(tmp_path / "in", lab, names=names)
    assert told in str(caught.value)


def test_a_folder_that_holds_nothing_is_an_error(tmp_path: Path, lab: Lab) -> None:
    """No submission at all is a wrong path, not an empty gradebook."""
    put(tmp_path / "none", {"notes.txt": b"x"})
    with pytest.raises(SubmissionError, match="holds no submission"):
        read(tmp_path / "none", lab)
    with pytest.raises(SubmissionError, match="is no folder"):
        read(tmp_path / "nowhere", lab)
    put(tmp_path, {"all.zip": zipped(GIVEN)})
    with pytest.raises(SubmissionError, match="unpack it first"):
        read(tmp_path / "all.zip", lab)


@given(st.sets(st.text(min_size=1, max_size=40), max_size=12))
def test_ids_are_unique_safe_and_stable(keys: set[str]) -> None:
    """An id is a file name anywhere, belongs to one student, and does not depend on order."""
    found = ids(keys)
    assert len(set(found.values())) == len(keys)
    for one in found.values():
        assert one
        assert set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        assert one[0] not in "._-"
        assert len(one) <= 70
    more = ids([*sorted(keys, reverse=True), "somebody else 4711"])
    assert {key: more[key] for key in keys} == found or "somebody else 4711" in keys


# ---- hostile files ---------------------------------------------------------------------------
def sparse(name: str, size: int = 2 << 30) -> Callable[[Path], None]:
    """A file of 2 GB that takes no space."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.truncate(size)

    return make


def special(name: str, kind: int) -> Callable[[Path], None]:
    """A FIFO or a socket where a file should be."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        os.mknod(path, 0o600 | kind)

    return make


def linked(name: str, target: str) -> Callable[[Path], None]:
    """A symbolic link."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(target)

    return make


def encrypted() -> bytes:
    """A zip whose entry says that it is encrypted."""
    data = bytearray(zipped({"pytorch.py": SOURCE}))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + at] |= 1
    return bytes(data)


def twice() -> bytes:
    """A zip with two entries of one name."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as file:
        warnings.simplefilter("ignore")
        file.writestr("pytorch.py", SOURCE)
        file.writestr("pytorch.py", OTHER)
    return out.getvalue()


def zip_link() -> bytes:
    """A zip whose entry is a symbolic link."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        info = zipfile.ZipInfo("pytorch.py")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    return out.getvalue()


def scattered(count: int) -> Callable[[Path], None]:
    """A folder with many files."""

    def make(folder: Path) -> None:
        (folder / "eve").mkdir()
        for number in range(count):
            (folder / "eve" / str(number)).touch()

    return make


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "zip bomb": (
        archive("eve.zip", lambda: zipped({"pytorch.py": b"0" * (200 << 20)})),
        "209,715,200 bytes; at most",
    ),
    "notebook bomb": (
        archive("eve.zip", lambda: zipped({"pytorch.ipynb": b" " * (100 << 20)})), "at most 16 MiB",
    ),
    "path traversal in zip": (
        archive("eve.zip", zipped({"../../pytorch.py": SOURCE})), "leads out of the archive",
    ),
    "path traversal in tar": (
        archive("eve.tar", tarred({"../pytorch.py": SOURCE})), "leads out of the archive",
    ),
    "backslashes": (
        archive("eve.zip", zipped({"..\\pytorch.py": SOURCE})), "leads out of the archive",
    ),
    "absolute path": (archive("eve.tar", tarred({"/tmp/pytorch.py": SOURCE})), "an absolute path"),
    "drive letter": (archive("eve.zip", zipped({"C:/pytorch.py": SOURCE})), "an absolute path"),
    "control characters": (
        archive("eve.zip", zipped({"a\x1b[2J/pytorch.py": SOURCE})), "control characters",
    ),
    "link in zip": (archive("eve.zip", zip_link()), "is a link"),
    "link in tar": (
        archive("eve.tar", tarred({}, "w", entry("pytorch.py", tarfile.SYMTYPE, "/etc/passwd"))),
        "is a link",
    ),
    "hard link in tar": (
        archive("eve.tar", tarred({}, "w", entry("pytorch.py", tarfile.LNKTYPE, "/etc/passwd"))),
        "is a link",
    ),
    "device in tar": (
        archive("eve.tar", tarred({}, "w", entry("pytorch.py", tarfile.CHRTYPE))), "a device",
    ),
    "FIFO in tar": (
        archive("eve.tar", tarred({}, "w", entry("pytorch.py", tarfile.FIFOTYPE))), "a FIFO",
    ),
    "encrypted": (archive("eve.zip", encrypted()), "is encrypted"),
    "cut off zip": (archive("eve.zip", zipped(GIVEN)[:-30]), "it was cut off"),
    "cut off xz": (archive("eve.tar.xz", tarred(GIVEN, "w:xz")[:120]), "cut off"),
    "damaged zip": (
        archive("eve.zip", zipped({"pytorch.py": SOURCE}).replace(b"PK\x03\x04", b"XX\x03\x04")),
        "is damaged",
    ),
    "no archive": (archive("eve.tar.gz", b"\x1f\x8b" + b"x" * 100), "no zip or tar archive"),
    "nested archive": (
        archive("eve.zip", zipped({"inner.zip": zipped(GIVEN)})), "an archive inside an archive",
    ),
    "another archive": (archive("eve.rar", b"Rar!"), "only zip and tar archives are read"),
    "2 GB source": (sparse("eve/pytorch.py"), "2,147,483,648 bytes; at most"),
    "2 GB archive": (sparse("eve.zip"), "2,147,483,648 bytes; at most"),
    "2 GB notebook": (sparse("eve/pytorch.ipynb"), "2,147,483,648 bytes; at most"),
    "FIFO for a source": (special("eve/pytorch.py", stat.S_IFIFO), "is a FIFO"),
    "FIFO for an archive": (special("eve.zip", stat.S_IFIFO), "is no regular file"),
    "FIFO for a folder": (special("eve", stat.S_IFIFO), "is a FIFO"),
    "socket for a source": (special("eve/pytorch.py", stat.S_IFSOCK), "is a socket"),
    "link for a source": (linked("eve/pytorch.py", "/etc/passwd"), "is a link"),
    "link for a folder": (linked("eve", "/etc"), "is a link"),
    "link to nowhere": (linked("eve.zip", "nowhere"), "cannot be read"),
    "latin-1": (archive("eve/pytorch.py", "# \u00e9\n".encode("latin-1")), "line 1: not utf-8"),
    "NUL bytes": (archive("eve/pytorch.py", b"x = 1\n\0"), "line 2: holds a NUL"),
    "unknown encoding": (archive("eve/pytorch.py", b"# coding: zlib\n"), "declares the encoding"),
    "empty file": (archive("eve/pytorch.py", b"\n\n"), "is empty"),
    "empty folder": (scattered(0), "is missing; found no file"),
    "another name": (scattered(1), "is missing; found `0`"),
    "no notebook": (archive("eve/pytorch.ipynb", b"[" * 100_000), "nested too deeply"),
    "names that differ in case": (
        archive("eve.zip", zipped({"PyTorch.py": SOURCE, "PYTORCH.py": OTHER})),
        "which one counts cannot be told",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_submission_is_a_sentence_for_its_student(
    tmp_path: Path, lab: Lab, make: Callable[[Path], None], told: str
) -> None:
    """The reason is told, nothing is taken from it, and the others are graded as ever."""
    began = time.monotonic()
    tracemalloc.start()
    one = alone(tmp_path, lab, make, "pytorch")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told in " ".join([*one.faults, *one.notes])
    assert one.faults
    assert one.sources == {}
    assert peak < 300 << 20
    assert time.monotonic() - began < 60  # on a machine that does ten other things


def test_duplicates_in_an_archive_are_not_chosen_from(tmp_path: Path, lab: Lab) -> None:
    """Readers disagree on which of two equal names counts; so it is nobody's guess."""
    one = alone(tmp_path, lab, archive("eve.zip", twice()), "pytorch")
    assert "stands 2 times in the archive" in one.faults[0]
    first, second = (entry("pytorch.py", tarfile.REGTYPE) for _ in range(2))
    both = tarred({}, "w", first, second)
    put(tmp_path, {"eve.zip": both})
    assert "more than once" in " ".join(read(tmp_path, lab, "pytorch")["eve"].faults)


def test_many_files_in_a_folder_are_looked_through(tmp_path: Path, lab: Lab) -> None:
    """A data set beside the source costs nothing."""

    def make(folder: Path) -> None:
        scattered(5000)(folder)
        put(folder, {"eve/pytorch.py": SOURCE})

    assert alone(tmp_path, lab, make, "pytorch").sources


def test_a_folder_deeper_than_paths_may_be(tmp_path: Path, lab: Lab) -> None:
    """Depth has a bound of its own."""

    def make(folder: Path) -> None:
        put(folder, {"eve/" + "d/" * 100 + "pytorch.py": SOURCE})

    one = alone(tmp_path, lab, make, "pytorch")
    assert not one.sources
    assert "deeper than 32" in one.notes[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, lab: Lab) -> None:
    """Rights of files come along in archives and backups."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    put(tmp_path, {"eve/pytorch.py": SOURCE, "mal/pytorch.py": SOURCE})
    (tmp_path / "eve/pytorch.py").chmod(0)
    (tmp_path / "mal").chmod(0)
    os.seteuid(65534)
    try:
        found = read(tmp_path, lab, "pytorch")
    finally:
        os.seteuid(0)
        (tmp_path / "mal").chmod(0o755)
    assert "cannot be read" in found["eve"].faults[0]
    assert "cannot be read" in found["mal"].faults[0]


NAMES = {
    "Hungarian": "\u00e1rv\u00edzt\u0171r\u0151",
    "Chinese": "\u5b66\u751f",
    "Arabic": "\u0637\u0627\u0644\u0628",
    "decomposed": "e\u0301mile",
    "emoji": "\U0001f600",
    "direction": "ada\u202egnp",
    "not UTF-8": os.fsdecode(b"bad\xff\xfe"),
    "dots": "ada..",
    "a newline": "ada\nbob",
    "markup": "<b>[red]ada[/red]",
    "a formula": "=cmd()",
    "long": "x" * 200,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_in_any_script_get_an_id(tmp_path: Path, lab: Lab, name: str) -> None:
    """Folders are called what students call themselves."""

    def make(folder: Path) -> None:
        put(folder, {f"{name}/pytorch.py": SOURCE})

    one = alone(tmp_path, lab, make, "pytorch")
    assert one.sources
    assert one.student.isascii()
    assert "/" not in one.student
    one.name.encode()  # what people read can be written to a file
    assert one.name.isprintable()


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"\xef\xbb\xbfx = 1\r\ny = 2\r", ""),
        ("x = 1\ny = 2\n".encode("utf-16"), "read as utf-16"),
        ("# coding: latin-1\nx = '\u00e9'\n".encode("latin-1"), "read as iso8859-1"),
    ],
    ids=["BOM and CR", "UTF-16", "declared latin-1"],
)
def test_encodings_that_python_reads_are_read(content: bytes, note: str) -> None:
    """An editor's choice costs nobody a point."""
    text, notes = decoded(content, shown="pytorch.py")
    assert "\r" not in text
    assert "x = " in text
    assert note in " ".join(notes)


# ---- notebooks --------------------------------------------------------------------------------
def notebook(*cells: str) -> bytes:
    """A notebook of code cells, with a text cell among them."""
    parts = [{"cell_type": "markdown", "id": "m", "metadata": {}, "source": "import torch"}]
    parts += [
        {
            "cell_type": "code", "id": f"c{number}", "metadata": {}, "outputs": [],
            "execution_count": None, "source": cell,
        }
        for number, cell in enumerate(cells)
    ]  # fmt: skip
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": parts}
    return json.dumps(book).encode()


def test_magics_are_dropped_with_a_note_and_strings_are_not(tmp_path: Path, lab: Lab) -> None:
    """What Jupyter adds to Python goes; Python that looks like it stays."""
    cells = (
        "%matplotlib inline\nimport os\n!pip install x\nfiles = !ls\nif os:\n    %time f()\nos?",
        "%%bash\nrm -rf /",
        "%%time\ntext = '''\n%d of them\n! wow\n'''",
        SOURCE.decode(),
    )
    put(tmp_path, {"ada/pytorch.ipynb": notebook(*cells)})
    one = read(tmp_path, lab, "pytorch")["ada"]
    assert not one.faults
    space: dict[str, object] = {}
    exec(one.sources["pytorch"].replace("import os", "os = f = None"), space)
    assert space["text"] == "\n%d of them\n! wow\n"
    assert "rm -rf" not in one.sources["pytorch"]
    assert len(one.notes) == 7
    assert "code cell 1: dropped `!pip install x`" in one.notes[1]


def test_a_starter_survives_being_a_notebook(lab: Lab) -> None:
    """What --notebook writes comes back as the same program, and is the same every time."""
    text = (lab.folder / "pytorch.py").read_text()
    book = notebook_of(text, title="T", text="words")
    assert book == notebook_of(text, title="T", text="words")
    back, notes = source_of(book.encode(), shown="pytorch.ipynb")
    assert notes == ()
    assert ast.dump(ast.parse(back)) == ast.dump(ast.parse(text))


@settings(max_examples=60)
@given(
    st.binary(max_size=400)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["cells", "nbformat", "source", "cell_type", "metadata"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_a_notebook_or_a_sentence(data: bytes) -> None:
    """The library answers nonsense with errors of many kinds; students get one."""
    with contextlib.suppress(UnreadableError):
        source_of(data, shown="x.ipynb")


def _mutated(data: bytes) -> st.SearchStrategy[bytes]:
    """An archive with bytes changed, cut or put in."""
    edits = st.lists(
        st.tuples(st.integers(0, len(data)), st.integers(0, 20), st.binary(max_size=8)), max_size=4
    )

    def apply(changes: list[tuple[int, int, bytes]]) -> bytes:
        out = data
        for at, cut, put_in in changes:
            out = out[:at] + put_in + out[at + cut :]
        return out

    return edits.map(apply)


SEEDS = [zipped(GIVEN), *(tarred(GIVEN, mode) for mode in ("w", "w:gz", "w:bz2", "w:xz"))]


@settings(max_examples=300)
@given(st.binary(max_size=600) | st.one_of([_mutated(data) for data in SEEDS]))
def test_any_bytes_are_an_archive_or_a_sentence(data: bytes) -> None:
    """Whatever it is, it is listed or refused, and its members are read or refused."""
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(data)
        file.flush()
        found = archives.listing(Path(file.name), lambda _: True)
        for member in found.members:
            with contextlib.suppress(UnreadableError):
                assert len(member.read(1000)) <= 1000


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_a_sentence(data: bytes) -> None:
    """Text that comes out has line feeds only and no NUL."""
    try:
        text, _ = decoded(data, shown="pytorch.py")
    except UnreadableError:
        return
    assert "\0" not in text
    assert "\r" not in text


def test_a_lab_without_a_rubric_is_refused(tmp_path: Path, lab: Lab) -> None:
    """There is nothing to grade by."""
    put(tmp_path, under("ada/"))
    with pytest.raises(SubmissionError, match="train is not graded"):
        read(tmp_path, replace(lab, rubric=None))
    with pytest.raises(SubmissionError, match="grades no `tf3`"):
        read(tmp_path, lab, "tf3")
