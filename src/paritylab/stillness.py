"""Runs INSIDE a job's process, before the lab's own code: holds the frameworks still.

Its source travels with every job (Python 3.7 to 3.13, no import but NumPy). Variables that a
framework reads at its import belong to the worker's start, in environment.toml; here are the calls
that its API wants, and the GPU, which may only be touched after the fork.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np


def hold(job: Any) -> None:
    """Seed everything; under ``portable`` also make the API calls that fix threads and kernels.

    ``job`` has seed, profile, file, source and ``gpu_mb``: MiB of the one GPU that CUDA sees, 0
    for the CPU. Raises RuntimeError when a framework does not see the GPU it is to run on.
    """
    seed, portable = job.seed, job.profile == "portable"
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch, tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if torch:
        if job.gpu_mb:
            _torch_on_gpu(torch, job.gpu_mb, portable)
        torch.manual_seed(seed)
        if portable:
            torch.set_num_threads(1)
            torch.use_deterministic_algorithms(True)
    if tf:
        if job.gpu_mb:
            _tensorflow_on_gpu(tf, job.gpu_mb, portable)
        _hold_tensorflow(tf, job, portable)


def _hold_tensorflow(tf: Any, job: Any, portable: bool) -> None:
    modern = hasattr(tf, "random") and hasattr(tf.random, "set_seed")
    if portable and modern:  # sessions of TensorFlow 1 take theirs from TF_NUM_*_THREADS
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.compat.v1.set_random_seed(job.seed)
    tf.compat.v1.get_default_graph().seed = job.seed
    # With op determinism a graph of one's own (seedless) cannot even initialise a variable.
    graphs = job.file == "tf1.py" or "disable_v2_behavior" in job.source
    if portable and modern and not graphs:
        tf.keras.utils.set_random_seed(job.seed)
        tf.config.experimental.enable_op_determinism()


def _torch_on_gpu(torch: Any, gpu_mb: int, portable: bool) -> None:
    """Make the GPU the default device, within a share of its memory."""
    total = torch.cuda.get_device_properties(0).total_memory  # raises without a GPU
    torch.cuda.set_per_process_memory_fraction(min(1.0, gpu_mb * 2.0**20 / total))
    torch.set_default_device("cuda")
    if portable:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def _tensorflow_on_gpu(tf: Any, gpu_mb: int, portable: bool) -> None:
    """Cap the memory that TensorFlow takes of the GPU, where it puts what it can by itself."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise RuntimeError("TensorFlow sees no GPU: it would compute on the CPU without a word")
    # It takes what it needs of that, no more: TF_FORCE_GPU_ALLOW_GROWTH in environment.toml.
    # Sessions of TensorFlow 1 start from the same configuration.
    limit = tf.config.LogicalDeviceConfiguration(memory_limit=gpu_mb)
    tf.config.set_logical_device_configuration(gpus[0], [limit])
    if portable:
        tf.config.experimental.enable_tensor_float_32_execution(False)
