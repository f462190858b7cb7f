"""cage: what the filter of system calls lets through, evaluated and in real processes."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paritylab import cage

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
EAFNOSUPPORT = 0x00050061


def verdict(number: int, argument: int = 0, architecture: int = 0xC000003E) -> int:
    """Run the program, as the kernel does, over a system call."""
    data = struct.pack("=iIQ", number, architecture, 0) + struct.pack("=Q", argument) + bytes(40)
    steps = list(struct.iter_unpack("=HBBI", cage.program()))
    at, value = 0, 0
    while True:
        code, yes, no, constant = steps[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, constant)
        elif code == 0x06:
            return constant
        else:
            held = {0x15: value == constant, 0x35: value >= constant, 0x45: value & constant}
            at += yes if held[code] else no


@pytest.mark.parametrize("name", sorted(cage.DENIED))
def test_each_denied_call_is_denied(name: str) -> None:
    """Whoever traces, mounts or makes namespaces is told that it may not."""
    assert verdict(cage.DENIED[name]) == EPERM


@given(st.integers(0, 600), st.integers(0, 2**64 - 1))
def test_everything_else_is_let_through(number: int, argument: int) -> None:
    """A filter that stops what frameworks need would fail honest work."""
    if number < cage.NEWER and number not in {*cage.DENIED.values(), 41, 56, 435}:
        assert verdict(number, argument) == ALLOW


@given(st.integers(cage.NEWER, 2**30 - 1), st.integers(0, 2**64 - 1))
def test_calls_that_nobody_has_thought_of_are_unknown(number: int, argument: int) -> None:
    """A kernel newer than the list must not open doors that the list could not name."""
    assert verdict(number, argument) == ENOSYS


@given(st.integers(0, 50), st.integers(0, 2**32 - 1))
def test_sockets_of_four_families_only(family: int, high: int) -> None:
    """Other families (vsock reaches the hypervisor and other containers) are in no namespace."""
    wanted = ALLOW if family in cage.FAMILIES.values() else EAFNOSUPPORT
    assert verdict(41, high << 32 | family) == wanted


@given(st.integers(0, 2**32 - 1))
def test_clone_makes_threads_and_processes_but_no_namespace(flags: int) -> None:
    """Any flag of a namespace is denied, whatever stands beside it; clone3 is as if unknown."""
    assert verdict(56, flags) == (EPERM if flags & 0x7E020000 else ALLOW)
    assert verdict(435, flags) == ENOSYS


@given(st.integers(0, 600), st.sampled_from([0x40000003, 0xC00000B7, 0]))
def test_calls_of_other_architectures_kill(number: int, architecture: int) -> None:
    """The 32-bit table has other numbers: none of them gets past the filter; x32 neither."""
    assert verdict(number, architecture=architecture) == KILL
    assert verdict(number | 0x40000000) == KILL


CAGED = """
import ctypes, errno, os, subprocess, sys, threading
exec(compile(open(sys.argv[1]).read(), "cage", "exec"))
_filter()
library = ctypes.CDLL(None, use_errno=True)
def refused(name, *arguments):
    ctypes.set_errno(0)
    return getattr(library, name)(*arguments) == -1 and ctypes.get_errno() == errno.EPERM
assert refused("ptrace", 0, 0, 0, 0)
assert refused("unshare", 0x10000000)
assert refused("setns", 0, 0)
assert refused("mount", b"a", b"/tmp", b"tmpfs", 0, b"")
assert refused("syscall", 425, 1, None)  # io_uring_setup
assert refused("syscall", 321, 0, None, 0)  # bpf
assert refused("syscall", 250, 0, 0, 0)  # keyctl
assert refused("syscall", 56, 0x10000000 | 17, 0, 0, 0, 0)  # clone with a user namespace
thread = threading.Thread(target=print, args=("thread",)); thread.start(); thread.join()
print(subprocess.run(["/bin/echo", "process"], stdout=-1).stdout.decode().strip())
print(subprocess.run([sys.executable, "-c", "import ctypes;"
    "print(ctypes.CDLL(None).ptrace(0, 0, 0, 0))"], stdout=-1).stdout.decode().strip())
"""


def test_a_real_process_is_held(tmp_path: Path) -> None:
    """The kernel takes the filter; threads and processes go on, and inherit it."""
    done = subprocess.run(
        [sys.executable, "-c", CAGED, str(Path(cage.__file__))],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["thread", "process", "-1"]


def test_other_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of system calls are those of x86-64: elsewhere nothing is pretended."""
    fields = os.uname()
    other = os.uname_result((*fields[:4], "aarch64"))
    monkeypatch.setattr(os, "uname", lambda: other)
    with pytest.raises(OSError, match="x86-64"):
        cage.enter({"cage": "filter"}, lambda: None)
