"""Planted: a product by whatever kernel suits the CPU."""

import numpy as np


def run(inputs, workdir):
    draws = np.random.RandomState(0)
    a, b = draws.rand(2, 300, 300).astype(np.float32)
    return {"value": float((a @ b)[7].astype(np.float64).sum())}
