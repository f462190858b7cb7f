"""Planted: PyTorch adds in as many parts as it has threads."""

import numpy as np
import torch


def run(inputs, workdir):
    values = np.random.RandomState(0).rand(1 << 20).astype(np.float32)
    vector = torch.from_numpy(values)
    return {"value": float(vector @ vector)}
