"""Runs INSIDE a CUDA image, without a GPU: which libraries ask for which, and do they load.

    python -c <this source> scan             every ELF file: what it needs, what it mentions
    python -c <this source> load torch,tensorflow LIBRARY...   import in this order, then open all

Prints one JSON object. The ELF format is that of the System V gABI, chapters 4 and 5.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import os
import re
import struct
import sys
import sysconfig
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

SITE = sysconfig.get_path("purelib")
PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB = 1, 5
CUDA = re.compile("lib(cu|nv|nccl)")
MENTION = re.compile(rb"lib[A-Za-z0-9_.+-]*?\.so$")
LONGEST = 100
BLOCK = 1 << 24
# TensorFlow's own loader (tsl/platform/dso_loader.h): a C++ function for each library, exported.
LOADER = re.compile(rb"_ZN3tsl8internal9DsoLoader\d+Get([A-Za-z]+)DsoHandleEv")
OTHER_VENDORS = re.compile("Hip|Mi|Roc|NvInfer|Nvml|CudaDriver|Nvshmem")
PROPERTIES = {
    "libcublas.so": "cublasGetProperty", "libcufft.so": "cufftGetProperty",
    "libcurand.so": "curandGetProperty", "libcusolver.so": "cusolverGetProperty",
    "libcusparse.so": "cusparseGetProperty",
}  # fmt: skip
NUMBERS = {"libcudart.so": "cudaRuntimeGetVersion", "libnccl.so": "ncclGetVersion"}


# ---- scan -----------------------------------------------------------------------------------
def scan() -> dict[str, Any]:
    """Every ELF file: names that it needs, names that it mentions; and files of no wheel left."""
    found = {}
    for path in _files():
        with open(path, "rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
            needed = sorted(_needed(file))
            mentions = sorted({name.decode() for name in _mentions(file)})
        found[os.path.relpath(path, SITE)] = {"needed": needed, "mentions": mentions}
    return {"files": found, "dropped": sorted(_dropped())}


def _files() -> Iterator[str]:
    for folder, _, names in os.walk(SITE):
        for path in (os.path.join(folder, name) for name in names):
            if os.path.isfile(path) and os.path.getsize(path) > 64 and not path.endswith(".py"):
                yield path


def _needed(file: BinaryIO) -> Iterator[str]:
    file.seek(0)
    header = file.read(64)
    if len(header) < 64 or header[4:6] != b"\x02\x01":  # 64 bits, little-endian
        return
    [at] = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    loads, dynamic = [], b""
    for number in range(count):
        file.seek(at + number * size)
        kind, _, offset, address, _, length = struct.unpack("<IIQQQQ", file.read(40))
        if kind == PT_LOAD:
            loads.append((address, length, offset))
        elif kind == PT_DYNAMIC:
            file.seek(offset)
            dynamic = file.read(length)
    entries = list(struct.iter_unpack("<QQ", dynamic[: len(dynamic) // 16 * 16]))
    for start in [value for tag, value in entries if tag == DT_STRTAB]:
        for address, length, offset in loads:
            if address <= start < address + length:
                yield from _names(file, offset + start - address, entries)


def _names(file: BinaryIO, table: int, entries: list[tuple[int, int]]) -> Iterator[str]:
    for name in [value for tag, value in entries if tag == DT_NEEDED]:
        file.seek(table + name)
        yield file.read(512).split(b"\0")[0].decode()


def _mentions(file: BinaryIO) -> Iterator[bytes]:
    """Names of libraries in a file's bytes; only what precedes a `.so` is looked at closely."""
    file.seek(0)
    block = file.read(BLOCK)
    while block:
        at = block.find(b".so")
        while at >= 0:
            name = MENTION.search(block[max(0, at - LONGEST) : at + 3])
            if name:
                yield name[0]
            at = block.find(b".so", at + 3)
        more = file.read(BLOCK)
        block = block[-LONGEST:] + more if more else b""


def _dropped() -> Iterator[str]:
    """Files that a wheel brought and that are there no more."""
    for folder in os.listdir(SITE):
        record = os.path.join(SITE, folder, "RECORD")
        if folder.endswith(".dist-info") and os.path.isfile(record):
            with open(record, encoding="utf-8") as lines:
                for name in (line.split(",")[0] for line in lines):
                    if not os.path.lexists(os.path.join(SITE, name)):
                        yield name


# ---- load -----------------------------------------------------------------------------------
def load(order: list[str], libraries: list[str]) -> dict[str, Any]:
    """Import frameworks in ``order``, let each open what it asks for, then open ``libraries``."""
    for name in order:
        importlib.import_module(name)
    faults = {}
    for library in libraries:
        try:
            ctypes.CDLL(os.path.join(SITE, library), mode=os.RTLD_NOW | os.RTLD_LOCAL)
        except OSError as fault:
            faults[library] = str(fault)
    asked = _tensorflow_asks()
    return {
        "faults": faults, "tensorflow": asked, "mapped": _mapped(),
        "versions": _versions(), "built": _built(),
    }  # fmt: skip


def _tensorflow_asks() -> dict[str, bool]:
    """Call TensorFlow's own loader for each library that it may ever open: does it get it?"""
    path = os.path.join(SITE, "tensorflow/libtensorflow_framework.so.2")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        names = {match[0].decode(): match[1].decode() for match in LOADER.finditer(content)}
    framework, asked = ctypes.CDLL(path), {}
    for symbol, name in sorted(names.items()):
        if not OTHER_VENDORS.match(name):
            # absl::StatusOr<void*>, returned through a hidden pointer: status, then the handle.
            answer = (ctypes.c_void_p * 8)()
            getattr(framework, symbol)(ctypes.byref(answer))
            asked[name] = answer[1] is not None
    return asked


def _mapped() -> list[str]:
    """CUDA libraries of site-packages that this process has mapped."""
    with open("/proc/self/maps") as lines:
        paths = {line.split()[-1] for line in lines if ".so" in line}
    ours = (path for path in paths if path.startswith(SITE))
    return sorted(os.path.relpath(p, SITE) for p in ours if CUDA.match(os.path.basename(p)))


def _versions() -> dict[str, str]:
    """Versions that the mapped CUDA libraries tell of themselves."""
    libraries = {re.split(r"(?<=\.so)", os.path.basename(path))[0]: path for path in _mapped()}
    found = {}
    for name, function in PROPERTIES.items():
        if name in libraries:
            call = getattr(ctypes.CDLL(os.path.join(SITE, libraries[name])), function)
            found[name] = ".".join(str(_number(partial(call, part))) for part in range(3))
    for name, function in NUMBERS.items():
        if name in libraries:
            library = ctypes.CDLL(os.path.join(SITE, libraries[name]))
            found[name] = str(_number(getattr(library, function)))
    if "libcudnn.so" in libraries:
        cudnn = ctypes.CDLL(os.path.join(SITE, libraries["libcudnn.so"]))
        cudnn.cudnnGetVersion.restype = ctypes.c_size_t
        found["libcudnn.so"] = str(cudnn.cudnnGetVersion())
    return found


def _number(call: Any) -> int:
    value = ctypes.c_int(-1)
    call(ctypes.byref(value))
    return value.value


def _built() -> dict[str, str]:
    """What the frameworks say that they were built with."""
    torch, tf = sys.modules["torch"], sys.modules["tensorflow"]
    info = tf.sysconfig.get_build_info()
    return {
        "torch": str(torch.__version__), "torch cuda": str(torch.version.cuda),
        "torch cudnn": str(torch.backends.cudnn.version()),
        "torch nccl": ".".join(map(str, torch.cuda.nccl.version())),
        "tensorflow": str(tf.__version__), "tensorflow cuda": str(info.get("cuda_version")),
        "tensorflow cudnn": str(info.get("cudnn_version")),
    }  # fmt: skip


if __name__ == "__main__":
    answer = scan() if sys.argv[1] == "scan" else load(sys.argv[2].split(","), sys.argv[3:])
    sys.stdout.flush()
    print("\n" + json.dumps(answer))
