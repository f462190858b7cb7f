"""The cage of graded jobs: runs INSIDE environments (Python 3.7 to 3.13, stdlib only), as root.

Its source travels in the payload of a worker's start frame; the worker calls ``enter`` in each
session's process, before a job is read. Two sizes:

``filter``       a seccomp filter: whoever descends from the session cannot trace, make
                 namespaces, mount, load BPF or open other known doors of the kernel.
``namespaces``   before that, namespaces of its own: the session becomes process 1 of a new one
                 (so that its death kills every daemon), with private /proc, /tmp, /dev/shm and
                 work folder, IPC, network and host name, and keeps SETUID, SETGID and KILL alone.
                 Needs SYS_ADMIN and SETPCAP, which no job ever has.

Numbers are those of Linux on x86-64 (``linux/prctl.h``, ``linux/seccomp.h``, ``sched.h``).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import struct
import sys
import time
from contextlib import suppress
from typing import Any, Callable

SIZES = ("filter", "namespaces")
_SETTLE_SECONDS = 3.0
_FIRST_JOB_UID = 1000

_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWPID, _NEWNET = 0x20000000, 0x40000000
_ANY_NAMESPACE = 0x7E020000  # and those of users and control groups
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT = 1, 2, 4, 8, 32
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18
_PDEATHSIG, _SECCOMP, _DROP_BOUND, _NO_NEW_PRIVS = 1, 22, 24, 38
_KILL, _SETGID, _SETUID = 5, 6, 7
_KEPT = (1 << _KILL) | (1 << _SETGID) | (1 << _SETUID)
_LAST_CAPABILITY = "/proc/sys/kernel/cap_last_cap"

_X86_64, _X32_BIT = 0xC000003E, 0x40000000
_SOCKET, _CLONE, _CLONE3 = 41, 56, 435
_KILL_PROCESS, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
DENIED = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "pidfd_getfd": 438, "process_madvise": 440, "unshare": 272, "setns": 308, "mount": 165,
    "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "bpf": 321, "add_key": 248,
    "request_key": 249, "keyctl": 250, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "perf_event_open": 298, "userfaultfd": 323, "fanotify_init": 300,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246,
    "kexec_file_load": 320, "swapon": 167, "swapoff": 168, "reboot": 169, "acct": 163,
    "quotactl": 179, "quotactl_fd": 443, "syslog": 103, "vhangup": 153, "iopl": 172,
    "ioperm": 173, "modify_ldt": 154, "uselib": 134, "lookup_dcookie": 212, "nfsservctl": 180,
    "personality": 135, "memfd_secret": 447, "settimeofday": 164, "clock_settime": 227,
    "sethostname": 170, "setdomainname": 171,
    # What outlives its process, and belongs to no file or namespace that is ever cleaned.
    "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240,
}  # fmt: skip
"""The system calls that a graded job may not make, with their numbers."""
NEWER = 451
"""Calls from this number on are as if the kernel did not know them: nothing needs them yet."""
FAMILIES = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16}
"""Sockets that a job may open. Namespaces hold these; vsock, for one, reaches past every wall."""


def enter(start: dict[str, Any], close: Callable[[], object]) -> None:
    """Put this process and all that it will start into the cage that ``start`` asks for.

    Returns in the caged process only; ``close`` is called in the process that waits for it
    outside. Raises OSError when the kernel or the engine does not let us, or when something of an
    earlier session is still there.
    """
    if sys.maxsize < 1 << 32 or os.uname().machine != "x86_64":
        raise OSError("graded jobs need x86-64: the filter of system calls is written for it")
    if start["cage"] == "namespaces":
        _nothing_is_left(start["folder"])
        _isolate(close)
        _furnish(start["folder"])
        _keep_three_capabilities()
    _filter()


def _call(name: str, *arguments: Any) -> None:
    """Call the C library; raise OSError with the call's name."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) == -1:
        number = ctypes.get_errno()
        told = ", ".join(str(argument) for argument in arguments[:2])
        raise OSError(number, "%s(%s): %s" % (name, told, os.strerror(number)))


# ---- what an earlier session may have left ---------------------------------------------------
def _nothing_is_left(folder: str) -> None:
    """Raise OSError unless the container holds root's processes, and no file or memory of a job."""
    limit = time.monotonic() + _SETTLE_SECONDS
    while True:
        found = _left(folder)
        if not found:
            return
        if time.monotonic() > limit:
            raise OSError("an earlier session has left %s" % ", ".join(found[:5]))
        time.sleep(0.005)


def _left(folder: str) -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has just ended
            if _of_a_job(name):
                found.append("process " + name)
    for place in ("/tmp", "/dev/shm", "/dev/mqueue", folder):  # noqa: S108 - the places to look at
        for entry in os.scandir(place):  # what an import leaves there is root's
            if entry.stat(follow_symlinks=False).st_uid >= _FIRST_JOB_UID:
                found.append(entry.path)
    for kind in ("shm", "sem", "msg"):
        with open("/proc/sysvipc/" + kind) as file:
            found += ["SysV " + kind for _ in file.readlines()[1:]]
    return found


def _of_a_job(pid: str) -> bool:
    """Whether a process has any user id of a job (the folder's owner may be root all the same)."""
    with open("/proc/%s/status" % pid) as file:
        for line in file:
            if line.startswith("Uid:"):
                return any(int(uid) >= _FIRST_JOB_UID for uid in line.split()[1:])
    return False


# ---- namespaces -----------------------------------------------------------------------------
def _isolate(close: Callable[[], object]) -> None:
    """Go on as process 1 of new namespaces; the process outside waits and ends with it."""
    alive, held = os.pipe()
    _call("unshare", _NEWPID | _NEWNS | _NEWIPC | _NEWNET | _NEWUTS)
    pid = os.fork()
    if pid:
        try:
            close()
            os.close(alive)
            status = os.waitpid(pid, 0)[1]
            # The kernel has ended everything in the namespace before it lets process 1 go.
            os._exit(0 if status == 0 else 1)
        finally:
            os._exit(1)
    os.close(held)
    _call("prctl", _PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if select.select([alive], [], [], 0)[0]:  # whoever should outlive us has ended already
        os._exit(1)
    os.close(alive)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = [text.encode() for text in (source, target, kind)]
    _call("mount", words[0], words[1], words[2], ctypes.c_ulong(flags), options.encode())


def _furnish(folder: str) -> None:
    """Give the namespace file systems of its own wherever a job may write or look around."""
    _mount("none", "/", "", _REC | _PRIVATE)
    quiet = _NOSUID | _NODEV
    # Group 0, the session's own, sees all processes; a job sees those of its uid.
    _mount("proc", "/proc", "proc", quiet | _NOEXEC, "hidepid=2,gid=0")
    for path in ("kcore", "keys", "latency_stats", "timer_list", "sched_debug", "sysrq-trigger"):
        if os.path.exists("/proc/" + path):
            _mount("/dev/null", "/proc/" + path, "", _BIND)
    for path in ("/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi"):
        if os.path.isdir(path):
            _mount(path, path, "", _BIND | _REC)
            _mount(path, path, "", _BIND | _REMOUNT | _RDONLY | quiet | _NOEXEC)
    # Everybody may set a device file's times, and the next submission could read them.
    _mount("/dev", "/dev", "", _BIND | _REC)
    _mount("/dev", "/dev", "", _BIND | _REMOUNT | _RDONLY | _NOSUID)
    _mount("tmpfs", "/tmp", "tmpfs", quiet | _NOEXEC, "size=512m,nr_inodes=8k,mode=1777")  # noqa: S108
    _mount("tmpfs", "/dev/shm", "tmpfs", quiet | _NOEXEC, "size=256m,nr_inodes=4k,mode=1777")  # noqa: S108
    _mount("mqueue", "/dev/mqueue", "mqueue", quiet | _NOEXEC)
    _mount("tmpfs", folder, "tmpfs", quiet, "size=1g,nr_inodes=16k,mode=711")
    os.chdir("/")


def _keep_three_capabilities() -> None:
    """Keep what ends jobs and gives them their uids; nothing can be gained by an exec."""
    with open(_LAST_CAPABILITY) as file:
        for number in range(int(file.read()) + 1):
            _call("prctl", _DROP_BOUND, number, 0, 0, 0)
    version_3 = struct.pack("=Ii", 0x20080522, 0)
    low = struct.pack("=III", _KEPT, _KEPT, 0)  # effective, permitted, inheritable
    _call("capset", version_3, low + struct.pack("=III", 0, 0, 0))


# ---- the filter -----------------------------------------------------------------------------
class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def program() -> bytes:
    """The filter in classic BPF, as ``struct sock_filter`` after each other."""
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    steps = [
        _step(load, 4), _step(equal, _X86_64, 1), _step(give, _KILL_PROCESS),
        _step(load, 0), _step(at_least, _X32_BIT, 0, 1), _step(give, _KILL_PROCESS),
    ]  # fmt: skip
    for number in sorted(DENIED.values()):
        steps += [_step(equal, number, 0, 1), _step(give, _ERRNO | _EPERM)]
    # Its flags lie behind a pointer: as if there were none, and libraries fall back to clone.
    steps += [_step(equal, _CLONE3, 0, 1), _step(give, _ERRNO | _ENOSYS)]
    steps += [_step(at_least, NEWER, 0, 1), _step(give, _ERRNO | _ENOSYS)]
    steps += [_step(equal, _CLONE, 0, 4), _step(load, 16)]
    steps += [_step(any_bit, _ANY_NAMESPACE, 0, 1), _step(give, _ERRNO | _EPERM)]
    steps += [_step(give, _ALLOW)]
    steps += [_step(equal, _SOCKET, 0, 2 + len(FAMILIES)), _step(load, 16)]
    for rest, family in zip(range(len(FAMILIES), 0, -1), FAMILIES.values()):  # noqa: B905 - 3.7
        steps += [_step(equal, family, rest, 0)]
    steps += [_step(give, _ERRNO | _EAFNOSUPPORT)]
    return b"".join([*steps, _step(give, _ALLOW)])


def _filter() -> None:
    code = program()
    described = _Program(len(code) // 8, code)
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _SECCOMP, 2, ctypes.byref(described), 0, 0)
