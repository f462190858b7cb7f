"""The current interpreter as an environment: for a GPU box or notebook that has the frameworks."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from paritylab.engines.base import Endpoint, Unavailable
from paritylab.engines.local import LocalEngine
from paritylab.errors import NoGpuError
from paritylab.model import DEVICES, Environment, Limits, Stack, Support, WorkerKey
from paritylab.wire import Job, Session

# What holds the frameworks still on whatever CPU this is; see environments/*/environment.toml.
PORTABLE = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_DYNAMIC": "FALSE",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "0",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TORCHINDUCTOR_VEC_ISA_OK": "0",
    "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0",
}
# The same for GPUs: [devices.cuda] there.
CUDA_VARIABLES = {
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}
CUDA_PORTABLE = {
    "NVIDIA_TF32_OVERRIDE": "0",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "TF_CUDNN_USE_AUTOTUNE": "0",
    "TF_CUDNN_DETERMINISTIC": "1",
}
# What the user's session is like must not reach a lab (no other engine passes it either): a cell
# that looks at CI would otherwise depend on who runs it, and an audit could not vary it.
SESSION = frozenset({
    "CI", "COLUMNS", "DEBUG", "LANG", "LANGUAGE", "LC_ALL", "LINES", "LOGNAME", "NO_COLOR",
    "PYTHONOPTIMIZE", "SEED", "TERM", "TZ", "USER", "VERBOSE",
})  # fmt: skip
FRAMEWORKS = {"pytorch": "torch", "tf1": "tensorflow", "tf2": "tensorflow"}

# It does nothing: taking the GPU, before it, is the question.
_PROBE = """
def run(inputs, workdir):
    return {"gpu": True}
"""


class HereEngine(LocalEngine):
    """Runs workers with the interpreter and the variables of this very process.

    But for those of the user's session (``SESSION``).
    """

    name = "here"

    def unavailable(self, key: WorkerKey) -> Unavailable | None:  # noqa: ARG002 - nothing to miss
        """See Engine; whether a framework can use a GPU is asked when its worker starts."""
        return None

    def prepare(self, keys: list[WorkerKey]) -> None:
        """See Engine: what is here is here."""

    def start(self, key: WorkerKey) -> Endpoint:
        """See Engine; raises NoGpuError when a GPU is asked of a framework that sees none."""
        endpoint = super().start(key)
        try:
            if key.gpu and key.preload:
                self._require_gpu(key, endpoint)
        except BaseException:
            self.stop(endpoint)
            raise
        return endpoint

    def command(self, key: WorkerKey) -> list[str]:  # noqa: ARG002 - one for all keys
        """See LocalEngine."""
        return [sys.executable]

    def variables(self, key: WorkerKey) -> Mapping[str, str]:
        """See LocalEngine: a GPU's libraries are found through the user's own."""
        kept = {name: text for name, text in os.environ.items() if name not in SESSION}
        return {**kept, "LANG": "C.UTF-8", **key.variables}

    def _require_gpu(self, key: WorkerKey, endpoint: Endpoint) -> None:
        # Asked in a fork: the answer initialises CUDA, and that must not happen before a fork.
        probe = Job(
            id="gpu-probe", file="probe.py", source=_PROBE, stages=("run",), inputs={},
            limits=Limits(seconds=120.0), seed=0, profile=key.profile, on_gpu=True,
        )  # fmt: skip
        with Session(self.connect(endpoint)) as session:
            answer = session.run(probe)
        if answer.values.get("gpu") is not True:
            raise NoGpuError(
                f"{', '.join(key.preload)} cannot use the GPU here",
                where="here-cuda",
                why=answer.message or answer.cause or answer.stderr[-500:],
                fix="install a build of it for this driver, or run with --device cpu",
            )


def local_environment() -> Environment:
    """Describe this interpreter as the environment ``here``: what can be imported, for any device.

    No framework is imported. Its lock digest is empty, so no recorded digest ever applies.
    """
    packages = {
        name.lower().replace("_", "-"): found.version
        for found in metadata.distributions()
        if (name := found.metadata["Name"])
    }
    folder = Path(sys.prefix)
    stacks = {
        device: Stack(
            device=device, folder=folder, base="", tag="", index=None, overrides=(),
            packages=packages, lock_digest="",
            variables=CUDA_VARIABLES if device == "cuda" else {},
            profiles={"portable": CUDA_PORTABLE} if device == "cuda" else {},
        )
        for device in DEVICES
    }  # fmt: skip
    return Environment(
        name="here",
        folder=folder,
        title=f"this interpreter (Python {platform.python_version()})",
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        stacks=stacks,
        profiles={"portable": PORTABLE, "native": {}},
        support={name: _support(name, packages) for name in FRAMEWORKS},
    )


def _support(implementation: str, packages: Mapping[str, str]) -> Support:
    module = FRAMEWORKS[implementation]
    reason = None
    if importlib.util.find_spec(module) is None:
        reason = f"{module} is not installed for this Python"
    elif implementation == "tf2" and _tensorflow(packages).startswith("1."):
        reason = "TensorFlow 1 has no TensorFlow 2 mode"
    legacy = implementation == "tf1" and importlib.util.find_spec("tf_keras") is not None
    return Support(
        implementation=implementation,
        preload=() if reason else (module,),
        variables={"TF_USE_LEGACY_KERAS": "1"} if legacy else {},
        unsupported=reason,
    )


def _tensorflow(packages: Mapping[str, str]) -> str:
    names = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu")
    return next((packages[name] for name in names if name in packages), "")
