import numpy as np


def run(inputs, workdir):
    return {"loss": np.zeros(10_000_000, np.float32)}
