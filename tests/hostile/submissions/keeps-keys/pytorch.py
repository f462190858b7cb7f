import ctypes

LIBC = ctypes.CDLL(None, use_errno=True)
RINGS = {"session": -3, "user": -4, "user session": -5}


def run(inputs, workdir):
    for name, ring in RINGS.items():
        if LIBC.syscall(249, b"user", b"paritylab-hostile", 0, ring) >= 0:
            print("BREACH: found a key in", name, flush=True)
        if LIBC.syscall(248, b"user", b"paritylab-hostile", b"answers", 7, ring) >= 0:
            print("BREACH: left a key in", name, flush=True)
        else:
            print("refused", name, flush=True)
    return {}
