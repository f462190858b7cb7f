import ctypes
import os
import signal
import time

LIBC = ctypes.CDLL(None, use_errno=True)


class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def told(what, answer):
    if answer >= 0:
        print("BREACH:", what, flush=True)
    else:
        print("%s:" % what, os.strerror(ctypes.get_errno()), flush=True)


def run(inputs, workdir):
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
    time.sleep(0.05)
    told("trace", LIBC.ptrace(16, pid, 0, 0))
    buffer = ctypes.create_string_buffer(8)
    piece = Piece(ctypes.addressof(buffer), 8)
    for what, number in (("read", 310), ("write", 311)):
        told(what, LIBC.syscall(number, pid, ctypes.byref(piece), 1, ctypes.byref(piece), 1, 0))
    handle = LIBC.syscall(434, pid, 0)
    told("descriptor", LIBC.syscall(438, handle, 1, 0))
    os.kill(pid, signal.SIGKILL)
    return {}
