"""A published model: finished weights, and a new question for them.

A regressor (10-20-1, tanh) is published; whoever loads it asks it for
predictions, and puts a classifier of their own on its hidden layer.
Data: ``labs/_data``.
"""

import math
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "_data" / "diabetes.csv"
FEATURES, HIDDEN = 10, 20
TRAIN_ROWS = 352
GRID = 1024  # weights are whole 1024ths: exact in float32
RIDGE = 8.0
STEPS = 40
LEARNING_RATE = 0.5  # a power of two: float32 and float64 hold it alike


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

    With H = [tanh(x w1 + b1), 1] the last layer solves the ridge problem
    (H'H + r I) w = H'y. Rounding to the grid hides the last bits of the
    solver, which differ between machines.
    """
    w1 = random.randint(-512, 513, size=(FEATURES, HIDDEN)) / GRID
    b1 = random.randint(-512, 513, size=HIDDEN) / GRID
    h = np.hstack([np.tanh(x @ w1 + b1), np.ones((len(x), 1))])  # [352, 21]
    solution = np.linalg.solve(h.T @ h + RIDGE * np.eye(HIDDEN + 1), h.T @ y)
    w2, b2 = np.split(np.round(solution * GRID) / GRID, [HIDDEN])
    return w1, b1, w2, b2[0]


def inputs(seed):
    """Return weights to publish, rows to ask about, labels to learn."""
    random = np.random.RandomState(seed)
    table = np.loadtxt(DATA, delimiter=",", skiprows=1)  # [442, 11]
    order = random.permutation(len(table))
    train, test = order[:TRAIN_ROWS], order[TRAIN_ROWS:]
    scaled = standardise(table, table[train])
    x, y = scaled[:, :FEATURES], scaled[:, FEATURES:]
    weights = fit(x[train].astype(float), y[train].astype(float), random)
    w1, b1, w2, b2 = (w.astype(np.float32) for w in weights)
    return {
        "x": x[train],  # [352, 10]
        "worse": (y[train] > 0).astype(np.float32),  # [352, 1]: 0 or 1
        "x_test": x[test],  # [90, 10]
        "w1": w1,  # [10, 20]: inputs x outputs
        "b1": b1,  # [20]
        "w2": w2,  # [20, 1]
        "b2": b2,  # [1]
        "learning_rate": LEARNING_RATE,
        "steps": STEPS,
    }


def oracle(inputs):
    """Return the published model's answers and the new head's training.

    h = tanh(x w1 + b1), p = h w2 + b2. Head: q = h w + b from zeros,
    L = mean(log(1 + e^q) - t q), dL/dq = (sigmoid(q) - t) / n,
    dL/dw = h' dL/dq, dL/db its sum; w <- w - rate dL/dw.
    """
    x, t, x_test, w1, b1, w2, b2 = (
        inputs[name].astype(np.float64)
        for name in ("x", "worse", "x_test", "w1", "b1", "w2", "b2")
    )
    h, h_test = np.tanh(x @ w1 + b1), np.tanh(x_test @ w1 + b1)
    w, b, losses = np.zeros((HIDDEN, 1)), np.zeros(1), []
    for _ in range(inputs["steps"]):
        q = h @ w + b  # [352, 1]
        losses.append(np.mean(np.logaddexp(0, q) - t * q))
        dq = (1 / (1 + np.exp(-q)) - t) / len(t)
        w = w - inputs["learning_rate"] * (h.T @ dq)
        b = b - inputs["learning_rate"] * dq.sum(axis=0)
    weights = np.concatenate([w1.ravel(), b1, w2.ravel(), b2])  # [241]
    predictions = h_test @ w2 + b2
    return {
        "published_predictions": predictions,
        "loaded_predictions": predictions,
        "features": h_test,
        "head_loss": np.array(losses),
        "head": np.concatenate([w.ravel(), b]),
        "risk": 1 / (1 + np.exp(-(h_test @ w + b))),
        "weights": weights,
    }
