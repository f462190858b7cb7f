import ctypes
import os
import pickle
import socket

import numpy as np

LIBC = ctypes.CDLL(None, use_errno=True)
NAME, KEY, SIZE = "borrowed-by-paritylab-hostile", 0x424F5252, 1 << 16


def from_files():
    for place in ("/tmp", "/dev/shm", "/var/tmp"):
        path = place + "/" + NAME
        if os.path.exists(path):
            yield open(path, "rb").read()


def from_memory():
    number = LIBC.shmget(KEY, SIZE, 0o666)
    if number >= 0:
        LIBC.shmat.restype = ctypes.c_void_p
        yield ctypes.string_at(LIBC.shmat(number, None, 0), SIZE)


def from_daemon():
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect("\0" + NAME)
            yield b"".join(iter(lambda: sock.recv(65536), b""))
        except OSError:
            pass


def run(inputs, workdir):
    for source in (from_files, from_memory, from_daemon):
        for data in source():
            print("BREACH: borrowed", source.__name__, flush=True)
            return pickle.loads(data)
    print("nothing to borrow", flush=True)
    return {"loss": np.zeros(176, np.float32)}
