"""Evaluate a saved model: finished weights, held-out rows, exact answer.

The network is the 10-20-1 of the lab ``train``. Data: ``labs/_data``.
"""

import math
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "_data" / "diabetes.csv"
FEATURES, HIDDEN = 10, 20
TRAIN_ROWS = 352
GRID = 1024  # weights are whole 1024ths: exact in float32
RIDGE = 8.0


def standardise(rows, reference):
    """Scale the columns of rows by mean and deviation of reference.

    ``math.fsum`` rounds once, at the end: the same bits on every CPU.
    """
    mean = np.array([math.fsum(c) / len(c) for c in reference.T])
    squares = np.square(reference - mean)
    deviation = np.array([math.sqrt(math.fsum(c) / len(c)) for c in squares.T])
    return ((rows - mean) / deviation).astype(np.float32)


def fit(x, y, random):
    """Return finished weights: a random hidden layer, a fitted last one.

    With H = [max(x w1 + b1, 0), 1] the last layer solves the ridge
    problem (H'H + r I) w = H'y. Rounding to the grid hides the last bits
    of the solver, which differ between machines.
    """
    w1 = random.randint(-512, 513, size=(FEATURES, HIDDEN)) / GRID
    b1 = random.randint(-512, 513, size=HIDDEN) / GRID
    h = np.maximum(x @ w1 + b1, 0)  # [352, 20]
    h = np.hstack([h, np.ones((len(h), 1))])  # [352, 21]
    solution = np.linalg.solve(h.T @ h + RIDGE * np.eye(HIDDEN + 1), h.T @ y)
    w2, b2 = np.split(np.round(solution * GRID) / GRID, [HIDDEN])
    return w1, b1, w2, b2[0]


def inputs(seed):
    """Return the weights to save and the rows to evaluate them on."""
    random = np.random.RandomState(seed)
    table = np.loadtxt(DATA, delimiter=",", skiprows=1)  # [442, 11]
    order = random.permutation(len(table))
    train, test = order[:TRAIN_ROWS], order[TRAIN_ROWS:]
    scaled = standardise(table, table[train])
    x, y = scaled[:, :FEATURES], scaled[:, FEATURES:]
    weights = fit(x[train].astype(float), y[train].astype(float), random)
    w1, b1, w2, b2 = (w.astype(np.float32) for w in weights)
    return {
        "x_test": x[test],  # [90, 10]
        "y_test": y[test],  # [90, 1]
        "w1": w1,  # [10, 20]: inputs x outputs
        "b1": b1,  # [20]
        "w2": w2,  # [20, 1]
        "b2": b2,  # [1]
    }


def oracle(inputs):
    """Return what must come back: the same weights, the same answers.

    p = max(x w1 + b1, 0) w2 + b2 and L = mean((p - y)^2), in float64.
    """
    x, y, w1, b1, w2, b2 = (
        inputs[name].astype(np.float64)
        for name in ("x_test", "y_test", "w1", "b1", "w2", "b2")
    )
    predictions = np.maximum(x @ w1 + b1, 0) @ w2 + b2  # [90, 1]
    loss = np.mean(np.square(predictions - y))
    weights = np.concatenate([w1.ravel(), b1, w2.ravel(), b2])  # [241]
    return {
        "saved_loss": loss,
        "rebuilt_weights": weights,
        "rebuilt_predictions": predictions,
        "rebuilt_loss": loss,
        "whole_weights": weights,
        "whole_predictions": predictions,
        "whole_loss": loss,
    }
