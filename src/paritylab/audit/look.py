"""Runs INSIDE a worker as a job of its own: what a job sees of its machine under a condition.

Its source is the job's (see ``conditions.Condition.probe``), for environments from Python 3.7 on;
it imports the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Any

CPU_NAME = 64


def run(inputs: Any, workdir: Any) -> dict[str, str]:  # noqa: ARG001 - as every implementation
    """Return it as strings: evidence that a variation took place."""
    seen = {
        "host": os.uname().nodename, "zone": time.strftime("%Z%z"),
        "date": time.strftime("%Y-%m-%d"), "user": str(os.getuid()), "home": os.environ["HOME"],
        "processors": str(len(os.sched_getaffinity(0))), "folder": os.getcwd(),
        "language": os.environ.get("LC_ALL") or os.environ.get("LANG", ""),
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
    }  # fmt: skip
    torch = sys.modules.get("torch")
    if torch:
        seen["torch_threads"] = str(torch.get_num_threads())
    library = ctypes.CDLL(None)
    if hasattr(library, "paritylab_cpu"):
        text = ctypes.create_string_buffer(CPU_NAME)
        library.paritylab_cpu(text, CPU_NAME)
        seen["cpu"] = text.value.decode()
    with open("/proc/self/personality") as file:
        seen["fixed_addresses"] = str(bool(int(file.read(), 16) & 0x0040000))
    return seen
