"""Planted: as many batches as there are processors."""

import os

import numpy as np


def run(inputs, workdir):
    rows = np.random.RandomState(0).rand(1001).astype(np.float32)
    total = np.float32(0)
    for batch in np.array_split(rows, len(os.sched_getaffinity(0))):
        total += np.add.accumulate(batch)[-1]
    return {"value": float(total)}
