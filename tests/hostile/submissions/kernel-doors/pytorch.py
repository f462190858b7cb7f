import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)
BUFFER = ctypes.create_string_buffer(256)
CALLS = {
    "bpf": (321, 0, BUFFER, 128), "io_uring_setup": (425, 8, BUFFER),
    "perf_event_open": (298, BUFFER, 0, -1, -1, 0), "userfaultfd": (323, 1),
    "add_key": (248, b"user", b"paritylab", b"x", 1, -4), "keyctl": (250, 0, -4, 1),
    "request_key": (249, b"user", b"paritylab", 0, -4), "fanotify_init": (300, 0, 0),
    "init_module": (175, BUFFER, 0, b""), "finit_module": (313, 0, b"", 0),
    "kexec_load": (246, 0, 0, 0, 0), "kexec_file_load": (320, -1, -1, 0, 0, 0),
    "syslog": (103, 3, BUFFER, 256), "iopl": (172, 3), "ioperm": (173, 0, 1, 1),
    "modify_ldt": (154, 0, BUFFER, 16), "personality": (135, 0x0040000),
    "settimeofday": (164, BUFFER, 0), "clock_settime": (227, 0, BUFFER),
    "adjtimex": (159, None), "sethostname": (170, b"mine", 4), "reboot": (169, 0, 0, 0, 0),
    "kcmp": (312, os.getpid(), os.getppid(), 0, 0, 0), "memfd_secret": (447, 0),
    "lsm_set_self_attr": (460, 0, 0, 0, 0), "vhangup": (153,), "uselib": (134, b"/bin/sh"),
    "move_pages": (279, os.getppid(), 0, 0, 0, 0, 0), "migrate_pages": (256, os.getppid(), 0, 0, 0),
}  # fmt: skip
HARMLESS = {"adjtimex"}


def run(inputs, workdir):
    for name, arguments in CALLS.items():
        if LIBC.syscall(*arguments) >= 0 and name not in HARMLESS:
            print("BREACH:", name, flush=True)
        else:
            print("%s: %s" % (name, os.strerror(ctypes.get_errno())), flush=True)
    return {}
