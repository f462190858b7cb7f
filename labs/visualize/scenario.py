"""Training that leaves a trail for TensorBoard: data, weights, answers.

The network is the 10-20-1 of the lab ``train``. Data: ``labs/_data``.
"""

import math
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "_data" / "diabetes.csv"
FEATURES, HIDDEN = 10, 20
STEPS, BATCH = 8, 16
LEARNING_RATE = 0.0625  # a power of two: float32 and float64 hold it alike
KNIFE_EDGE = 4e-6  # at least 10x the float32 error of a pre-activation


def standardise(rows):
    """Scale columns; ``math.fsum`` rounds once: the same bits everywhere."""
    mean = np.array([math.fsum(c) / len(c) for c in rows.T])
    squares = np.square(rows - mean)
    deviation = np.array([math.sqrt(math.fsum(c) / len(c)) for c in squares.T])
    return ((rows - mean) / deviation).astype(np.float32)


def draw(random):
    """Draw batches and initial weights."""
    scaled = standardise(np.loadtxt(DATA, delimiter=",", skiprows=1))
    rows = random.permutation(len(scaled))[: STEPS * BATCH]
    rows = rows.reshape(STEPS, BATCH)

    def uniform(*shape):
        return (random.rand(*shape) / 2 - 0.25).astype(np.float32)

    return {
        "x": scaled[rows, :FEATURES],  # [8, 16, 10]
        "y": scaled[rows, FEATURES:],  # [8, 16, 1]
        "w1": uniform(FEATURES, HIDDEN),  # [10, 20]: inputs x outputs
        "b1": uniform(HIDDEN),  # [20]
        "w2": uniform(HIDDEN, 1),  # [20, 1]
        "b2": uniform(1),  # [1]
        "learning_rate": LEARNING_RATE,
    }


def inputs(seed):
    """Return a draw in which no ReLU comes within rounding of zero."""
    random = np.random.RandomState(seed)
    while True:
        values = draw(random)
        if descend(values)[-1] > KNIFE_EDGE:
            return values


def descend(values):
    """Train in float64: losses, extremes of both layers, ReLU margin.

    a = x w1 + b1, h = max(a, 0), p = h w2 + b2, L = mean((p - y)^2);
    dL/dp = 2 (p - y) / n, dL/da = dL/dp w2' where a > 0, else 0.
    """
    xs, ys, w1, b1, w2, b2 = (
        values[name].astype(np.float64)
        for name in ("x", "y", "w1", "b1", "w2", "b2")
    )
    rate, margin = values["learning_rate"], math.inf
    losses, lowest, highest = [], [], []
    for x, y in zip(xs, ys):
        a = x @ w1 + b1  # [16, 20]
        h = np.maximum(a, 0)
        p = h @ w2 + b2  # [16, 1]
        losses.append(np.mean(np.square(p - y)))
        lowest.append([h.min(), p.min()])
        highest.append([h.max(), p.max()])
        margin = min(margin, np.abs(a).min())
        dp = 2 * (p - y) / len(x)
        da = (dp @ w2.T) * (a > 0)
        w1, b1 = w1 - rate * (x.T @ da), b1 - rate * da.sum(axis=0)
        w2, b2 = w2 - rate * (h.T @ dp), b2 - rate * dp.sum(axis=0)
    return np.array(losses), np.array(lowest), np.array(highest), margin


def oracle(inputs):
    """Return what TensorBoard's reader must find in the event files.

    ``stored_as`` are the kinds of record in which scalars and histograms
    lie: version 2 of the TensorFlow API writes everything as tensors.
    ``graph_operations`` are the layers' nodes in the stored graph.
    """
    losses, lowest, highest, _ = descend(inputs)
    shapes = [inputs["w1"].shape, inputs["w2"].shape]
    sizes = [rows * columns + columns for rows, columns in shapes]
    lines = [
        "fc%d: %d -> %d, %d parameters" % (i, rows, columns, size)
        for i, ((rows, columns), size) in enumerate(zip(shapes, sizes), 1)
    ]
    n = inputs["x"].shape[1]
    return {
        "summary": "\n".join([*lines, "total: %d parameters" % sum(sizes)]),
        "parameters": sum(sizes),
        "layer_shapes": np.array(shapes, dtype=np.int64),
        "steps": np.arange(len(losses)),
        "loss": losses,
        "histogram_count": np.full((len(losses), 2), [n * HIDDEN, n]),
        "histogram_min": lowest,
        "histogram_max": highest,
        "stored_as": {
            "pytorch": "histograms scalars",
            "tf1": "histograms scalars",
            "tf2": "tensors",
        },
        "graph_operations": {
            "pytorch": "aten::linear aten::relu aten::linear",
            "tf1": "MatMul Relu MatMul",
            "tf2": "MatMul Relu MatMul",
        },
        "graph_widths": np.array([HIDDEN, HIDDEN, 1], dtype=np.int64),
    }
