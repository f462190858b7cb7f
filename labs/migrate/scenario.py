"""Migrate: programs of 2017 as text, what today says of them, numbers.

``old_tensorflow.txt`` and ``old_pytorch.txt`` train the same regressor
(10-20-1, tanh, weight decay on the first layer) as one wrote it when the
guide's style was current. They are inputs: each implementation runs
them, carries them over, renews them. Data: ``labs/_data``.
"""

import math
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "_data" / "diabetes.csv"
FEATURES, HIDDEN, ROWS = 10, 20, 64
STEPS = 40  # as the programs say
DECAY = 0.015625  # likewise
LEARNING_RATE = 0.125  # a power of two: float32 and float64 hold it alike

# What TensorFlow's script has to say of each name in the old program.
RENAMED = """\
placeholder compat.v1.placeholder
losses.mean_squared_error compat.v1.losses.mean_squared_error
train.GradientDescentOptimizer compat.v1.train.GradientDescentOptimizer
log math.log
Session compat.v1.Session
global_variables_initializer compat.v1.global_variables_initializer
"""
KEYWORDS = """\
reduce_sum reduction_indices axis
reduce_max keep_dims keepdims
"""


def standardise(rows):
    """Scale each column to mean 0 and deviation 1.

    ``math.fsum`` rounds once, at the end: the same bits on every CPU.
    """
    mean = np.array([math.fsum(c) / len(c) for c in rows.T])
    squares = np.square(rows - mean)
    deviation = np.array([math.sqrt(math.fsum(c) / len(c)) for c in squares.T])
    return ((rows - mean) / deviation).astype(np.float32)


def inputs(seed):
    """Return the two programs, their data, and since when they fail."""
    random = np.random.RandomState(seed)
    table = np.loadtxt(DATA, delimiter=",", skiprows=1)  # [442, 11]
    scaled = standardise(table[random.permutation(len(table))[:ROWS]])

    def uniform(*shape):
        return (random.rand(*shape) / 2 - 0.25).astype(np.float32)

    return {
        "tensorflow_program": (HERE / "old_tensorflow.txt").read_text(),
        "pytorch_program": (HERE / "old_pytorch.txt").read_text(),
        "tensorflow_fails_from": "2.0",
        "pytorch_fails_from": "0.5",
        "x": scaled[:, :FEATURES],  # [64, 10]
        "y": scaled[:, FEATURES:],  # [64, 1]
        "w1": uniform(FEATURES, HIDDEN),  # [10, 20]: inputs x outputs
        "b1": uniform(HIDDEN),  # [20]
        "w2": uniform(HIDDEN, 1),  # [20, 1]
        "b2": uniform(1),  # [1]
        "learning_rate": LEARNING_RATE,
        "steps": STEPS,
        "decay": DECAY,
    }


def script_report(program):
    """Return what the upgrade script should report, line by line."""
    found = set()
    for number, line in enumerate(program.splitlines(), 1):
        for old, new in (pair.split() for pair in RENAMED.splitlines()):
            if f"tf.{old}(" in line:
                found.add((number, f"Renamed 'tf.{old}' to 'tf.{new}'"))
            if f"tf.{old}(" in line and old.startswith("losses"):
                found.add((number, f"tf.{old} requires manual check"))
        for name, old, new in map(str.split, KEYWORDS.splitlines()):
            if f"tf.{name}(" in line:
                text = f"Renamed keyword argument for tf.{name} from {old}"
                found.add((number, f"{text} to {new}"))
        if "tf.to_float(" in line:
            text = (
                "Changed tf.to_float call to tf.cast(..., dtype=tf.float32)."
            )
            found.add((number, text))
    return "\n".join(f"{number}: {text}" for number, text in sorted(found))


def rule_report(program):
    """Return the one line that PyTorch's old program must change."""
    lines = program.splitlines()
    number = 1 + next(i for i, s in enumerate(lines) if "loss.data[0]" in s)
    return f"{number}: loss.data[0] -> loss.item()"


def train(v):
    """Return losses, outputs and spreads, in float64.

    h = tanh(x w1 + b1), p = h w2 + b2, L = mean((p - y)^2) + d sum(w1^2);
    dL/dp = 2 (p - y) / n, dL/dw2 = h' dL/dp, dL/da = dL/dp w2' (1 - h^2),
    dL/dw1 = x' dL/da + 2 d w1; biases: column sums; w <- w - rate dL/dw.
    """
    x, y, w1, b1, w2, b2 = (
        v[name].astype(np.float64)
        for name in ("x", "y", "w1", "b1", "w2", "b2")
    )
    rate, decay, losses = v["learning_rate"], v["decay"], []
    for step in range(v["steps"] + 1):
        h = np.tanh(x @ w1 + b1)  # [64, 20]
        p = h @ w2 + b2  # [64, 1]
        if step == v["steps"]:  # trained
            break
        losses.append(np.mean((p - y) ** 2) + decay * np.sum(w1**2))
        dp = 2 * (p - y) / len(y)
        da = dp @ w2.T * (1 - h**2)
        w1 = w1 - rate * (x.T @ da + 2 * decay * w1)
        b1 = b1 - rate * da.sum(axis=0)
        w2 = w2 - rate * (h.T @ dp)
        b2 = b2 - rate * dp.sum(axis=0)
    return np.array(losses), p, np.log(h.max(axis=1, keepdims=True) + 2)


def oracle(inputs):
    """Return the same numbers for both routes, and what is said of them."""
    loss, output, spread = train(inputs)
    script = script_report(inputs["tensorflow_program"])
    return {
        "original": "as predicted",
        "changes": {
            "pytorch": rule_report(inputs["pytorch_program"]),
            "tf1": script,
            "tf2": script,
        },
        "alone": {
            "pytorch": "runs, but says: size_average and reduce args will be"
            " deprecated, please use reduction='mean' instead."
            " | volatile was removed and now has no effect."
            " Use `with torch.no_grad():` instead.",
            "tf1": "runs",
            "tf2": "RuntimeError: tf.placeholder() is not compatible with"
            " eager execution.",
        },
        "carried_loss": loss,
        "carried_output": output,
        "carried_spread": spread,
        "renewed_loss": loss,
        "renewed_output": output,
        "renewed_spread": spread,
    }
