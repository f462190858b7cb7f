"""cudacheck: an image with one thing wrong is told for exactly that."""

from dataclasses import replace
from pathlib import Path

import pytest

from paritylab.cudacheck import Load, Scan, askers, faults, libraries, names, rows, version_of
from paritylab.stacks import Stack

TORCH, CUBLAS = "torch/lib/libtorch_cuda.so", "nvidia/cublas/lib/libcublas.so.12"
LT, MG = "nvidia/cublas/lib/libcublasLt.so.12", "nvidia/cusolver/lib/libcusolverMg.so.11"
SPARSE = "nvidia/cusparse/lib/libcusparse.so.12"
SCAN = Scan(
    needed={
        TORCH: frozenset({"libcublas.so.12", "libcuda.so.1", "libc.so.6"}),
        CUBLAS: frozenset({"libcublasLt.so.12", "libnvidia-ml.so.1"}),
        LT: frozenset(),
        SPARSE: frozenset(),
    },
    mentions={
        TORCH: frozenset(), LT: frozenset({"libcublasLt.so"}), SPARSE: frozenset(),
        CUBLAS: frozenset({"libcublas.so", "libcublasLt.so"}),
    },
    dropped=frozenset({MG}),
)  # fmt: skip
VERSIONS = {
    "libcublas.so": "12.8.4", "libcudart.so": "12080", "libcudnn.so": "91002",
    "libcufft.so": "11.3.3", "libcurand.so": "10.3.9", "libcusolver.so": "11.7.3",
    "libcusparse.so": "12.5.8", "libnccl.so": "22707",
}  # fmt: skip
LOAD = Load(
    order="torch,tensorflow", faults={}, tensorflow={"Cublas": True}, mapped=(CUBLAS, LT),
    versions=VERSIONS,
    built={
        "torch": "2.10.0", "torch cuda": "12.8", "torch cudnn": "91002", "torch nccl": "2.27.5",
        "tensorflow": "2.21.0", "tensorflow cuda": "12.5.1", "tensorflow cudnn": "9",
    },
)  # fmt: skip
STACK = Stack(
    device="cuda", folder=Path("environments/tf2"), base="", tag="", index=None, overrides=(),
    packages={
        "nvidia-cublas-cu12": "12.8.4.1", "nvidia-cuda-runtime-cu12": "12.8.90",
        "nvidia-cudnn-cu12": "9.10.2.21", "nvidia-cufft-cu12": "11.3.3.83",
        "nvidia-curand-cu12": "10.3.9.90", "nvidia-cusolver-cu12": "11.7.3.90",
        "nvidia-cusparse-cu12": "12.5.8.93", "nvidia-nccl-cu12": "2.27.7",
    },
    lock_digest="", drop=(MG,),
)  # fmt: skip


def test_a_good_image_has_no_fault() -> None:
    """What the driver brings may be missing; what nobody asks for may be left out."""
    assert faults(STACK, SCAN, [LOAD, LOAD]) == []


def without(path: str) -> Scan:
    """The image with one library left out."""
    needed = {name: seen for name, seen in SCAN.needed.items() if name != path}
    return replace(SCAN, needed=needed, dropped=SCAN.dropped | {path})


@pytest.mark.parametrize(
    ("stack", "scan", "load", "told"),
    [
        (STACK, without(LT), LOAD, "needs libcublasLt.so.12, which the image does not hold"),
        (
            replace(STACK, drop=(MG, "nvidia/cublas/lib/*")), without(CUBLAS), LOAD,
            "libcublas.so.12 is left out, but nvidia/cublas/lib/libcublas.so.12 names it",
        ),
        (replace(STACK, drop=("no/such.so",)), SCAN, LOAD, "no/such.so matches no file"),
        (
            STACK, SCAN, replace(LOAD, faults={CUBLAS: "undefined symbol: x"}),
            "does not load after torch,tensorflow: undefined symbol",
        ),
        (
            STACK, SCAN, replace(LOAD, tensorflow={"Cudnn": False}),
            "TensorFlow's loader does not get Cudnn",
        ),
        (
            STACK, SCAN, replace(LOAD, mapped=(CUBLAS, "cu13/lib/libcublas.so.13")),
            "libcublas.so comes from two files",
        ),
        (
            STACK, SCAN, replace(LOAD, versions={**VERSIONS, "libnccl.so": "22705"}),
            "libnccl.so is 2.27.5; the lock has nvidia-nccl-cu12 2.27.7",
        ),
        (
            STACK, SCAN, replace(LOAD, versions={**VERSIONS, "libcudart.so": "12040"}),
            "libcudart.so is 12.4; torch was built with 12.8",
        ),
        (
            STACK, SCAN, replace(LOAD, built={**LOAD.built, "tensorflow cudnn": "8"}),
            "libcudnn.so is 9.10.2; tensorflow was built with 8",
        ),
        (
            STACK, SCAN, replace(LOAD, versions={}), "libcublas.so tells no version",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_told(stack: Stack, scan: Scan, load: Load, told: str) -> None:
    """One planted fault, one sentence about it."""
    found = faults(stack, scan, [load])
    assert any(told in fault for fault in found), found


def test_a_network_card_s_library_may_be_missing() -> None:
    """cuFile's RDMA part needs the host's InfiniBand libraries; everything else must load."""
    missing = "libmlx5.so.1: cannot open shared object file"
    assert faults(STACK, SCAN, [replace(LOAD, faults={CUBLAS: missing})]) == []


def test_who_asks_for_a_library() -> None:
    """Needed by name, or opened by name at run time: its own name does not count."""
    assert askers(SCAN, CUBLAS) == (TORCH,)
    assert askers(SCAN, LT) == (CUBLAS,)
    assert libraries(SCAN) == [CUBLAS, LT]  # nobody asks for cuSPARSE in this small image
    [first, _] = rows(SCAN, [LOAD])
    assert (first.library, first.version, first.fault) == (CUBLAS, "12.8.4", "")
    assert names([TORCH, CUBLAS, LT]) == "libcublas.so.12, libcublasLt.so.12 and 1 more"


@pytest.mark.parametrize(
    ("library", "told", "version"),
    [
        ("libcudart.so", "12080", "12.8"), ("libcudart.so", "12020", "12.2"),
        ("libcudnn.so", "91002", "9.10.2"), ("libcudnn.so", "8904", "8.9.4"),
        ("libnccl.so", "22707", "2.27.7"), ("libnccl.so", "21903", "2.19.3"),
        ("libcublas.so", "12.8.4", "12.8.4"),
    ],
)  # fmt: skip
def test_versions_told_as_one_number(library: str, told: str, version: str) -> None:
    """The three schemes of NVIDIA's headers."""
    assert version_of({library: told}) == {library: version}
