import numpy as np


def run(inputs, workdir):
    odd = np.array([np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -0.0], np.float32)
    shapes = {
        "loss": [176], "w1": [10, 20], "b1": [20], "w2": [20, 1], "b2": [1],
        "predictions": [90, 1], "test_loss": [],
    }  # fmt: skip
    return {name: np.resize(odd, shape) for name, shape in shapes.items()}
