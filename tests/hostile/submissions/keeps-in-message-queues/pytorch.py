import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)
OPEN, SEND = 240, 242


def run(inputs, workdir):
    if LIBC.syscall(OPEN, b"paritylab-hostile", os.O_RDWR, 0, 0) >= 0:
        print("BREACH: found a message queue", flush=True)
    queue = LIBC.syscall(OPEN, b"paritylab-hostile", os.O_RDWR | os.O_CREAT, 0o666, 0)
    print("tried to leave", os.strerror(ctypes.get_errno()) if queue < 0 else "", flush=True)
    os.umask(0)
    LIBC.syscall(SEND, queue, b"answers", 7, 0, 0)
    return {}
