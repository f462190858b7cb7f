"""stillness: what a job's process does to the frameworks before the lab's own code runs.

The frameworks are recorders: which calls are made is the point, and the real ones are tested on
the real CPU stacks in tests/engine.
"""

import random
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from paritylab.stillness import hold


class Recorder:
    """Any attribute of it is another one; calls and assignments are noted by their path."""

    def __init__(self, log: dict[str, Any], path: str, **known: Any) -> None:
        self.__dict__.update(_log=log, _path=path, **known)

    def __getattr__(self, name: str) -> Any:
        found = Recorder(self._log, f"{self._path}.{name}".lstrip("."))
        self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        self._log[f"{self._path}.{name}".lstrip(".")] = value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Note the call."""
        self._log[self._path] = args or kwargs
        return Recorder(self._log, f"{self._path}()")


def job(**more: Any) -> SimpleNamespace:
    """A portable job of seed 7 on the CPU."""
    facts = {"seed": 7, "profile": "portable", "file": "tf2.py", "source": "", "gpu_mb": 0}
    return SimpleNamespace(**{**facts, **more})


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A torch with a card of 8 GiB; what was done to it."""
    log: dict[str, Any] = {}
    module = Recorder(log, "")
    card = SimpleNamespace(total_memory=8 << 30)
    module.cuda.__dict__["get_device_properties"] = lambda _: card
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    return log


@pytest.fixture
def tensorflow(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[str]]:
    """A tensorflow, what was done to it, and the GPUs that it sees."""
    log: dict[str, Any] = {}
    gpus = ["GPU:0"]
    module = Recorder(log, "")
    module.config.__dict__["list_physical_devices"] = lambda _: gpus
    module.random.set_seed  # noqa: B018 - that makes it a modern one
    monkeypatch.setitem(sys.modules, "tensorflow", module)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return log, gpus


def test_generators_are_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's and NumPy's own, without any framework."""
    for name in ("torch", "tensorflow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    hold(job(profile="native"))
    first = random.random(), np.random.rand()
    hold(job(profile="native"))
    assert (random.random(), np.random.rand()) == first


def test_torch_on_the_cpu_leaves_cuda_alone(torch: dict[str, Any]) -> None:
    """One thread, deterministic algorithms, the seed; nothing that would look for a GPU."""
    hold(job())
    assert torch == {
        "manual_seed": (7,), "set_num_threads": (1,), "use_deterministic_algorithms": (True,),
    }  # fmt: skip


def test_torch_on_a_gpu(torch: dict[str, Any]) -> None:
    """The card is the default device, within the share; TF32 and the choice by timing are off."""
    hold(job(gpu_mb=2048))
    assert torch["set_default_device"] == ("cuda",)
    assert torch["cuda.set_per_process_memory_fraction"] == (0.25,)
    assert torch["backends.cuda.matmul.allow_tf32"] is False
    assert torch["backends.cudnn.allow_tf32"] is False
    assert torch["backends.cudnn.benchmark"] is False
    assert torch["backends.cudnn.deterministic"] is True
    assert torch["use_deterministic_algorithms"] == (True,)


def test_native_on_a_gpu_is_what_a_user_gets(torch: dict[str, Any]) -> None:
    """The share and the device, and no more."""
    hold(job(gpu_mb=2048, profile="native"))
    assert set(torch) == {
        "set_default_device", "cuda.set_per_process_memory_fraction", "manual_seed",
    }  # fmt: skip


def test_a_share_larger_than_the_card_is_all_of_it(torch: dict[str, Any]) -> None:
    """torch refuses a fraction above 1."""
    hold(job(gpu_mb=100_000))
    assert torch["cuda.set_per_process_memory_fraction"] == (1.0,)


def test_tensorflow_on_a_gpu(tensorflow: tuple[dict[str, Any], list[str]]) -> None:
    """A cap on the one GPU's memory, no TensorFloat-32, deterministic operations."""
    log, _ = tensorflow
    hold(job(gpu_mb=1536))
    assert log["config.LogicalDeviceConfiguration"] == {"memory_limit": 1536}
    assert log["config.set_logical_device_configuration"][0] == "GPU:0"
    assert log["config.experimental.enable_tensor_float_32_execution"] == (False,)
    assert "config.experimental.enable_op_determinism" in log
    assert log["compat.v1.set_random_seed"] == (7,)


def test_tensorflow_never_falls_back_to_the_cpu(
    tensorflow: tuple[dict[str, Any], list[str]],
) -> None:
    """A GPU that TensorFlow does not see is an error: it would compute on the CPU silently."""
    log, gpus = tensorflow
    gpus.clear()
    with pytest.raises(RuntimeError, match="sees no GPU"):
        hold(job(gpu_mb=1536))
    log.clear()
    hold(job())
    assert "config.set_logical_device_configuration" not in log


@pytest.mark.parametrize(
    "more", [{"file": "tf1.py"}, {"source": "tf.compat.v1.disable_v2_behavior()"}]
)
def test_graphs_get_no_op_determinism(
    tensorflow: tuple[dict[str, Any], list[str]], more: dict[str, str]
) -> None:
    """With it a graph of one's own, which has no seed, cannot even initialise a variable."""
    log, _ = tensorflow
    hold(job(**more))
    assert "config.experimental.enable_op_determinism" not in log
    assert log["compat.v1.set_random_seed"] == (7,)
