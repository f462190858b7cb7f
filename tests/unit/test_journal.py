"""The journal: nothing finished is lost, nothing foreign is continued."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paritylab.errors import JournalError
from paritylab.journal import Journal

FACTS = {"lab": "train", "seeds": [1, 2]}


def opened(path: Path, *, resume: bool = False, facts: dict[str, object] | None = None) -> Journal:
    """A journal of kind ``grade``."""
    return Journal(path, kind="grade", facts=FACTS if facts is None else facts, resume=resume)


def test_what_was_recorded_comes_back_in_order(tmp_path: Path) -> None:
    """A resumed job knows what is done, and a unit recorded again holds its latest payload."""
    with opened(tmp_path / "j.sqlite") as journal:
        journal.record("b", {"score": 1})
        journal.record("a", {"score": 2})
        journal.record("b", {"score": 3})
    with opened(tmp_path / "j.sqlite", resume=True) as journal:
        assert list(journal.done().items()) == [("a", {"score": 2}), ("b", {"score": 3})]


def test_kill_9_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    """Every finished unit is on the disk before the next begins."""
    path = tmp_path / "j.sqlite"
    code = f"""
from pathlib import Path
from paritylab.journal import Journal
journal = Journal(Path({str(path)!r}), kind="grade", facts={FACTS!r}, resume=False)
for number in range(1000):
    journal.record(str(number), {{"number": number}})
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        told = [int(child.stdout.readline()) for _ in range(20)]
        os.kill(child.pid, signal.SIGKILL)
    with opened(path, resume=True) as journal:
        assert [str(number) for number in told] == list(journal.done())[:20]


def test_two_jobs_cannot_share_a_journal(tmp_path: Path) -> None:
    """A second process is told that another run works with it."""
    with (
        opened(tmp_path / "j.sqlite"),
        pytest.raises(JournalError, match="cannot be used") as told,
    ):
        opened(tmp_path / "j.sqlite", resume=True)
    assert "another run" in str(told.value)


def test_a_journal_is_not_begun_twice_by_accident(tmp_path: Path) -> None:
    """Without --resume a journal that is there is refused, and stays as it is."""
    with opened(tmp_path / "j.sqlite") as journal:
        journal.record("a", {})
    with pytest.raises(JournalError, match="already"):
        opened(tmp_path / "j.sqlite")
    with opened(tmp_path / "j.sqlite", resume=True) as journal:
        assert list(journal.done()) == ["a"]


def test_other_facts_are_refused_by_name(tmp_path: Path) -> None:
    """What was begun with other seeds is not continued with these."""
    opened(tmp_path / "j.sqlite").close()
    with pytest.raises(JournalError, match="other facts: seeds"):
        opened(tmp_path / "j.sqlite", resume=True, facts={**FACTS, "seeds": [3]})


def test_another_kind_of_journal_is_refused(tmp_path: Path) -> None:
    """A grading journal is no audit journal."""
    opened(tmp_path / "j.sqlite").close()
    with pytest.raises(JournalError, match="journal of grade"):
        Journal(tmp_path / "j.sqlite", kind="audit", facts=None, resume=True)


@pytest.mark.parametrize("content", [b"no database", b"", b"SQLite format 3\x00" + b"\xff" * 200])
def test_a_broken_file_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    """Garbage where a journal should be is an error message; an empty file is a new journal."""
    path = tmp_path / "j.sqlite"
    path.write_bytes(content)
    if not content:
        opened(path, resume=True).close()
        return
    with pytest.raises(JournalError, match="cannot be used"):
        opened(path, resume=True)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """No traceback of the database's."""
    with pytest.raises(JournalError, match="cannot be used"):
        opened(tmp_path / "none" / "j.sqlite")


def test_forgetting_takes_the_prefix_literally(tmp_path: Path) -> None:
    """``--regrade a_`` does not regrade ``ab``."""
    with opened(tmp_path / "j.sqlite") as journal:
        for unit in ("a_/1", "ab/1", "a%/1"):
            journal.record(unit, {})
        assert journal.forget("a_/") == 1
        assert list(journal.done()) == ["ab/1", "a%/1"]


@settings(deadline=None)  # every record reaches the disk, which may be slow
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1),
        st.dictionaries(
            st.text(st.characters(codec="utf-8")), st.floats(allow_nan=False, allow_infinity=False)
        ),
        max_size=5,
    )
)
def test_any_unit_and_payload_survive(
    tmp_path_factory: pytest.TempPathFactory, units: dict[str, dict[str, float]]
) -> None:
    """Names in any script, numbers to the last bit."""
    path = tmp_path_factory.mktemp("journal") / "j.sqlite"
    with opened(path) as journal:
        for unit, payload in units.items():
            journal.record(unit, payload)
        assert journal.done() == units
