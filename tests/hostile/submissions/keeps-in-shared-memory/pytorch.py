import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)
KEY = 0x50415249


def run(inputs, workdir):
    for what, found in (
        ("memory", LIBC.shmget(KEY, 4096, 0o666)),
        ("semaphore", LIBC.semget(KEY, 1, 0o666)),
        ("queue", LIBC.msgget(KEY, 0o666)),
    ):
        if found >= 0:
            print("BREACH: found System V", what, flush=True)
    for what, made in (
        ("memory", LIBC.shmget(KEY, 4096, 0o1666)),
        ("semaphore", LIBC.semget(KEY, 1, 0o1666)),
        ("queue", LIBC.msgget(KEY, 0o1666)),
    ):
        print(
            "tried to leave", what, os.strerror(ctypes.get_errno()) if made < 0 else "", flush=True
        )
    return {}
