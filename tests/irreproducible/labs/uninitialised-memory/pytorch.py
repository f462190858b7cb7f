"""Planted: an array that is read before it is written."""

import numpy as np


def run(inputs, workdir):
    gradient = np.empty(1 << 20)
    return {"value": float(gradient.sum())}
