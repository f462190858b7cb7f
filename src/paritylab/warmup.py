"""Runs INSIDE a worker, before its first fork: does once what each job would do again.

Its source travels in a worker's start frame (Python 3.7 to 3.13, stdlib only).

Never here: a session, a graph, an eager op, a Keras model, an operation on several threads. Their
threads do not survive a fork, and the child waits for them for ever.
"""

from __future__ import annotations

import ctypes
import importlib
import operator
import sys
from contextlib import suppress

_HUGE, _COLLAPSE = 2 << 20, 25  # MADV_COLLAPSE, since Linux 6.1
_LAZY = (
    "keras.layers", "saved_model.experimental", "compat.v1.train", "compat.v1.layers",
    "compat.v1.keras.layers",
)  # fmt: skip


def warm(name: str) -> None:
    """Have the framework ``name``, which is imported, import what it would import in each job."""
    if name == "torch":
        # The first optimiser imports a second or more of further modules, the first seed a few.
        torch = sys.modules["torch"]
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        torch.manual_seed(0)
        with suppress(ImportError):
            importlib.import_module("torch.utils.serialization")
    if name == "tensorflow":
        tensorflow = sys.modules["tensorflow"]
        for lazy in _LAZY:
            with suppress(AttributeError, ImportError):
                operator.attrgetter(lazy)(tensorflow)
        # The context, as far as it is Python. To set a number asks for no device; to get one does.
        with suppress(AttributeError):
            tensorflow.config.threading.set_intra_op_parallelism_threads(0)


def gather_pages() -> None:
    """Have the kernel keep our memory in pages of 2 MiB where it can.

    A fork copies what describes the pages, and its end takes that apart: 7 ms were measured with
    PyTorch's 55,000 pages of 4 KiB, 3 ms with huge ones. It takes 0.3 to 0.5 s, once; a job of
    two stages has 9 ms less, so that fifty jobs repay it (``streams._MANY``).
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with open("/proc/self/maps") as file:
        regions = [line.split() for line in file]
    for bounds, rights, _, _, _, *name in regions:
        if rights == "rw-p" and name in ([], ["[heap]"]):
            first, end = (int(text, 16) for text in bounds.split("-"))
            for address in range(-(-first // _HUGE) * _HUGE, end - _HUGE + 1, _HUGE):
                madvise(address, _HUGE, _COLLAPSE)  # what cannot be done changes nothing
