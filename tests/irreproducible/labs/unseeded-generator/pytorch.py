"""Planted: a generator that nobody seeded."""

import numpy as np


def run(inputs, workdir):
    draws = np.random.default_rng().normal(size=4)
    return {"value": float(draws.sum())}
