import ctypes


def run(inputs, workdir):
    answer = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(0x40000000 + 39))
    print("BREACH: an x32 call answered", answer, flush=True)
    return {}
