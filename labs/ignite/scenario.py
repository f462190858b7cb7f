"""A training loop made of events: data, first weights, exact answer.

The task is that of the lab ``train`` (10-20-1 ReLU network, mean squared
error, gradient descent) with what a loop library adds: means per epoch,
a check on held-out rows every fourth epoch, a rate halved half way.
"""

import math
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "_data" / "diabetes.csv"
FEATURES, HIDDEN = 10, 20
TRAIN_ROWS, BATCH, EPOCHS = 352, 32, 16  # 11 batches x 16 = 176 steps
CHECK_EVERY, HALVE_AFTER = 4, 8  # epochs
LEARNING_RATE = 0.0625  # a power of two, and so is its half
KNIFE_EDGE = 4e-6  # at least 10x the float32 error of a pre-activation


def standardise(rows, reference):
    """Scale the columns of rows by mean and deviation of reference.

    ``math.fsum`` rounds once, at the end: the same bits on every CPU.
    """
    mean = np.array([math.fsum(c) / len(c) for c in reference.T])
    squares = np.square(reference - mean)
    deviation = np.array([math.sqrt(math.fsum(c) / len(c)) for c in squares.T])
    return ((rows - mean) / deviation).astype(np.float32)


def draw(random):
    """Draw a split, initial weights and the order of the batches."""
    table = np.loadtxt(DATA, delimiter=",", skiprows=1)  # [442, 11]
    order = random.permutation(len(table))
    train, test = order[:TRAIN_ROWS], order[TRAIN_ROWS:]
    scaled = standardise(table, table[train])
    batches = [
        random.permutation(TRAIN_ROWS).reshape(-1, BATCH)
        for _ in range(EPOCHS)
    ]

    def uniform(*shape):
        return (random.rand(*shape) / 2 - 0.25).astype(np.float32)

    return {
        "x": scaled[train, :FEATURES],  # [352, 10]
        "y": scaled[train, FEATURES:],  # [352, 1]
        "x_test": scaled[test, :FEATURES],  # [90, 10]
        "y_test": scaled[test, FEATURES:],  # [90, 1]
        "batches": np.stack(batches).astype(np.int64),  # [16, 11, 32]
        "w1": uniform(FEATURES, HIDDEN),  # [10, 20]: inputs x outputs
        "b1": uniform(HIDDEN),  # [20]
        "w2": uniform(HIDDEN, 1),  # [20, 1]
        "b2": uniform(1),  # [1]
        "learning_rate": LEARNING_RATE,
        "check_every": CHECK_EVERY,
        "halve_after": HALVE_AFTER,
    }


def inputs(seed):
    """Return the arrays that every implementation starts from.

    A draw in which some ReLU's argument comes within rounding of zero is
    drawn again: it could be open in one framework and shut in another.
    """
    random = np.random.RandomState(seed)
    while True:
        values = draw(random)
        if descend(values)["margin"] > KNIFE_EDGE:
            return values


def predict(x, weights):
    """p = max(x w1 + b1, 0) w2 + b2; also a = x w1 + b1."""
    w1, b1, w2, b2 = weights
    a = x @ w1 + b1  # [n, 20]
    return np.maximum(a, 0) @ w2 + b2, a


def descend(values):
    """Run the whole loop in float64 and write down what happened when.

    L = mean((p - y)^2); dL/dp = 2 (p - y) / n, dL/dw2 = h' dL/dp,
    dL/da = dL/dp w2' where a > 0 else 0, dL/dw1 = x' dL/da; dL/db1 and
    dL/db2 are the column sums of dL/da and dL/dp; w <- w - rate dL/dw.
    """
    x, y, x_test, y_test, *weights = (
        values[name].astype(np.float64)
        for name in ("x", "y", "x_test", "y_test", "w1", "b1", "w2", "b2")
    )
    rate, losses, checks = values["learning_rate"], [], []
    margin, events = math.inf, "<"
    for epoch, batches in enumerate(values["batches"], start=1):
        events += "["
        for rows in batches:
            p, a = predict(x[rows], weights)
            losses.append(np.mean(np.square(p - y[rows])))
            margin = min(margin, np.abs(a).min())
            dp = 2 * (p - y[rows]) / len(rows)  # [32, 1]
            da = (dp @ weights[2].T) * (a > 0)  # [32, 20]
            gradients = (
                x[rows].T @ da,
                da.sum(axis=0),
                np.maximum(a, 0).T @ dp,
                dp.sum(axis=0),
            )
            weights = [
                w - rate * g for w, g in zip(weights, gradients, strict=True)
            ]
            events += "."
        events += "]"
        if epoch % values["check_every"] == 0:
            p, _ = predict(x_test, weights)
            checks.append(np.mean(np.square(p - y_test)))
            events += "?"
        if epoch == values["halve_after"]:
            rate /= 2
            events += "/"
    events += ">"
    return {
        "loss": np.array(losses),
        "checks": np.array(checks),
        "weights": weights,
        "margin": margin,
        "events": events,
    }


def oracle(inputs):
    """Return curves, final weights and the order of events."""
    found = descend(inputs)
    w1, b1, w2, b2 = found["weights"]
    return {
        "loss": found["loss"],  # [176]
        "epoch_loss": found["loss"].reshape(EPOCHS, -1).mean(axis=1),  # [16]
        "test_loss": found["checks"],  # [4]
        "w1": w1,
        "b1": b1,
        "w2": w2,
        "b2": b2,
        "events": found["events"],
    }
