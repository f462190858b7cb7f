"""warmup: what a worker does once, before its first fork."""

import ctypes
import os
import platform
import re
import signal
from pathlib import Path

import pytest

from paritylab import warmup, worker

GET_PDEATHSIG = 2
OLD = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2]) < (6, 1)
THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def in_a_fork(check: object) -> int:
    """What ``check()`` returns in a child, as its exit code."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = int(check())  # type: ignore[operator]
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def huge_kb() -> int:
    """How much of this process's memory is in huge pages."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(r"AnonHugePages:\s+(\d+)", text)[1])  # type: ignore[index]


@pytest.mark.skipif(OLD or not THP.exists() or "[never]" in THP.read_text(), reason="no huge pages")
def test_memory_is_gathered_into_huge_pages_and_keeps_what_it_holds() -> None:
    """It is what makes a fork cheap; every byte is as before."""

    def check() -> bool:
        held = bytearray(os.urandom(64)) * (256 << 10)  # 16 MiB
        copy = bytes(held)
        before = huge_kb()
        warmup.gather_pages()
        return huge_kb() - before > 8 << 10 and held == copy

    assert in_a_fork(check) == 1


def test_a_framework_that_lacks_a_part_is_warmed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each version of TensorFlow has other parts: what is not there is not warmed."""
    monkeypatch.setitem(warmup.sys.modules, "tensorflow", object())
    warmup.warm("tensorflow")
    warmup.warm("numpy")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_acts_as_a_job_still_dies_with_its_parent() -> None:
    """The kernel forgets that on each change of uid: a session would outlive its worker."""

    def check() -> bool:
        worker._die_with(os.getppid())
        with worker._acting_as(12345):
            acted = os.geteuid() == 12345
        found = ctypes.c_int()
        ctypes.CDLL(None).prctl(GET_PDEATHSIG, ctypes.byref(found), 0, 0, 0)
        return acted and os.getresuid() == (0, 0, 0) and found.value == signal.SIGKILL

    assert in_a_fork(check) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_acts_as_a_job_has_no_more_rights_than_it(tmp_path: Path) -> None:
    """A link that a job left cannot make the worker remove what is another's."""
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    (kept / "file").touch()

    def check() -> bool:
        with pytest.raises(PermissionError), worker._acting_as(12345):
            os.unlink(kept / "file")
        return os.geteuid() == 0

    assert in_a_fork(check) == 1
    assert (kept / "file").exists()
