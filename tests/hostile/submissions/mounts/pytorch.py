import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "mount": (165, b"none", b"/tmp", b"tmpfs", 0, b""), "umount2": (166, b"/proc", 2),
    "pivot_root": (155, b"/tmp", b"/tmp"), "chroot": (161, b"/tmp"),
    "open_tree": (428, -100, b"/", 1), "move_mount": (429, -1, b"", -100, b"/tmp", 4),
    "fsopen": (430, b"tmpfs", 0), "fspick": (433, -100, b"/tmp", 0),
    "mount_setattr": (442, -1, b"", 0, 0, 0), "swapon": (167, b"/tmp/x", 0),
    "open_by_handle_at": (304, -100, b"\0" * 16, 0), "name_to_handle_at": (303, -100, b"/", 0, 0, 0),
    "open_tree_attr": (467, -100, b"/", 1, 0, 0), "statmount": (457, 0, 0, 0, 0),
    "quotactl": (179, 0, b"/", 0, 0), "acct": (163, b"/tmp/x"),
}  # fmt: skip
HARMLESS = {"statmount"}  # tells what /proc/self/mountinfo tells


def run(inputs, workdir):
    for name, arguments in CALLS.items():
        if LIBC.syscall(*arguments) >= 0 and name not in HARMLESS:
            print("BREACH:", name, flush=True)
        else:
            print("%s: %s" % (name, os.strerror(ctypes.get_errno())), flush=True)
    return {}
