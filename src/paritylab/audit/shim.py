"""The preloaded library (shim.c): built once with the system's compiler, kept in the cache."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import zlib
from functools import cache as once
from pathlib import Path

from paritylab import cache
from paritylab.commands import Command, try_run
from paritylab.engines.base import Unavailable

SOURCE = Path(__file__).with_name("shim.c")
COMPILERS = ("cc", "gcc", "clang")
FLAGS = (
    "-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
CPU = "PARITYLAB_CPU"
"""The variable that chooses the processor; see ``cpus`` in shim.c."""
WANTED = "PARITYLAB_SHIM"
"""A variable of a worker's key that asks for the library."""
FIXED = "PARITYLAB_FIXED_ADDRESSES"
"""A variable of a worker's key that asks for the same addresses in every process."""
REFUSALS = ("this CPU cannot be emulated here", "fixed addresses are not allowed here")
"""Last words of a process that cannot have what was asked for; see shim.c and ``_LAUNCH``."""

# arch_prctl(ARCH_SET_CPUID, 0) and at once back again: no CPUID in between.
_FAULTS = (
    "import ctypes; c = ctypes.CDLL(None).syscall; "
    "raise SystemExit(0 if c(158, 0x1012, 0) == 0 and c(158, 0x1012, 1) == 0 else 1)"
)
# A container has no place that a library could be loaded from, so it goes into memory. The worker
# is executed anew, because addresses and libraries are settled when a process begins.
_LAUNCH = """\
import base64, ctypes, os, sys, zlib
libc = ctypes.CDLL(None, use_errno=True)
if os.environ.pop("{fixed}", None) and libc.personality(0x0040000) < 0:
    sys.exit("fixed addresses are not allowed here: " + os.strerror(ctypes.get_errno()))
library = "{library}"
if library:
    file = libc.memfd_create(b"paritylab", 0)
    with open(file, "wb", closefd=False) as memory:
        memory.write(zlib.decompress(base64.b64decode(library)))
    os.environ["LD_PRELOAD"] = "/proc/self/fd/%d" % file
os.execv(sys.executable, [sys.executable] + sys.argv[1:])
"""


@once
def library() -> Path | Unavailable:
    """Return the built library, or why there is none; its name is its source's hash."""
    if sys.platform != "linux" or not Path("/lib64/ld-linux-x86-64.so.2").exists():
        return Unavailable(
            reason="the library that pretends is for Linux with glibc on x86-64", fix="audit there"
        )
    text = SOURCE.read_bytes() + " ".join(FLAGS).encode()
    built = cache.folder("shim") / f"{hashlib.sha256(text).hexdigest()[:16]}.so"
    if built.exists():
        return built
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        return Unavailable(
            reason="no C compiler is here to build the library that pretends",
            fix="install gcc (Debian: apt-get install gcc libc6-dev)",
        )
    with cache.scratch(built.parent) as folder:
        made = folder / built.name
        argv = [compiler, *FLAGS, "-o", str(made), str(SOURCE), "-ldl"]
        finished = try_run(Command(argv=argv, what="shim.c"), timeout=120)
        if finished.status:
            return Unavailable(
                reason=f"shim.c cannot be compiled here: {finished.tail[-300:]}",
                fix="install the C library's headers (Debian: apt-get install libc6-dev)",
            )
        made.replace(built)
    return built


@once
def no_cpu() -> Unavailable | None:
    """Return why no other processor can be emulated here, or None."""
    found = library()
    if isinstance(found, Unavailable):
        return found
    done = subprocess.run([sys.executable, "-c", _FAULTS], capture_output=True, check=False)
    if done.returncode:
        return Unavailable(
            reason="this kernel or CPU does not let CPUID fault (arch_prctl ARCH_SET_CPUID)",
            fix="audit on an Intel CPU since Ivy Bridge, or AMD since Zen 4, with Linux 4.12 or "
            "newer (`grep cpuid_fault /proc/cpuinfo`)",
        )
    return None


def launcher(*, preload: bool) -> str:
    """Return Python source that executes ``python`` with its own arguments, changed.

    Its variable ``FIXED`` asks for fixed addresses; ``preload`` loads the library from memory.
    """
    found = library() if preload else None
    text = (
        base64.b64encode(zlib.compress(found.read_bytes(), 9)).decode()
        if isinstance(found, Path)
        else ""
    )
    return _LAUNCH.format(fixed=FIXED, library=text)
