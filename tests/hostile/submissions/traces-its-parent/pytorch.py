import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)
ATTACH, SEIZE = 16, 0x4206


def run(inputs, workdir):
    pids = {os.getppid(), 1, *(int(n) for n in os.listdir("/proc") if n.isdigit())}
    for pid in sorted(pids - {os.getpid()}):
        for request in (ATTACH, SEIZE):
            if LIBC.ptrace(request, pid, 0, 0) == 0:
                print("BREACH: traced", pid, flush=True)
            else:
                print("ptrace denied", pid, os.strerror(ctypes.get_errno()), flush=True)
    for pid in sorted(pids - {os.getpid()}):
        for name in ("mem", "environ", "maps", "auxv", "fd", "map_files", "root", "cwd", "exe"):
            path = "/proc/%d/%s" % (pid, name)
            try:
                os.listdir(path) if name in ("fd", "map_files", "root", "cwd") else open(path).read(
                    1
                )
                print("BREACH: read", path, flush=True)
            except OSError as fault:
                print(
                    "memory denied" if name == "mem" else "denied", path, fault.strerror, flush=True
                )
    return {}
