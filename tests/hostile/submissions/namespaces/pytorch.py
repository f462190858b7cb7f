import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)
USER, ALL = (
    0x10000000,
    (0x10000000, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000),
)


def told(what, answer):
    if answer > 0 and "clone" in what:
        print("BREACH: %s" % what, flush=True)
    elif answer == 0:
        print("BREACH: %s" % what, flush=True)
        if "clone" in what:
            os._exit(0)
    else:
        print("%s: %s" % (what, os.strerror(ctypes.get_errno())), flush=True)


def run(inputs, workdir):
    for flag in ALL:
        told("unshare %#x" % flag, LIBC.syscall(272, flag))
        told("clone %#x" % flag, LIBC.syscall(56, flag | 17, 0, 0, 0, 0))
        told(
            "clone high %#x" % flag,
            LIBC.syscall(56, ctypes.c_ulong(flag | 17 | 1 << 40), 0, 0, 0, 0),
        )
        arguments = (ctypes.c_uint64 * 11)(flag, 0, 0, 0, 17)
        told("clone3 %#x" % flag, LIBC.syscall(435, ctypes.byref(arguments), 88))
    for name in os.listdir("/proc/self/ns"):
        fd = os.open("/proc/self/ns/" + name, os.O_RDONLY)
        told("setns " + name, LIBC.syscall(308, fd, 0))
    return {}
