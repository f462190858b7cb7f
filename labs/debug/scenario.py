"""Watch a network train, then find two planted NaNs: data and answers.

The watched network is the 10-20-1 of the lab ``train``, with three units
that cannot open. The faulty ones have one layer and a bad function behind
it. Data: ``labs/_data``.
"""

import math
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "_data" / "diabetes.csv"
FEATURES, HIDDEN = 10, 20
STEPS, BATCH = 6, 8
LEARNING_RATE = 0.0625  # a power of two: float32 and float64 hold it alike
DEAD_UNITS, SHUT = 3, -16.0  # a bias that no row of the data can outweigh
KNIFE_EDGE = 4e-6  # at least 10x the float32 error of a pre-activation
HALF_EDGE = 0.02  # how near to .5 a printed number may come before rounding
SAFE = 0.25  # how far from zero the faulty layer's answers stay


def standardise(rows):
    """Scale columns; ``math.fsum`` rounds once: the same bits everywhere."""
    mean = np.array([math.fsum(c) / len(c) for c in rows.T])
    squares = np.square(rows - mean)
    deviation = np.array([math.sqrt(math.fsum(c) / len(c)) for c in squares.T])
    return ((rows - mean) / deviation).astype(np.float32)


def draw(random):
    """Draw batches, weights of both networks, and the step of the fault."""
    scaled = standardise(np.loadtxt(DATA, delimiter=",", skiprows=1))

    def uniform(*shape):
        return (random.rand(*shape) / 2 - 0.25).astype(np.float32)

    b1 = uniform(HIDDEN)
    b1[random.permutation(HIDDEN)[:DEAD_UNITS]] = SHUT
    v = 2 * uniform(FEATURES, 1)
    # Rows on which the faulty layer answers well above 0, in random order,
    # and in one of the batches a single row on which it answers below 0.
    order = random.permutation(len(scaled))
    z = 0.5 + scaled[order, :FEATURES] @ v[:, 0]
    good, bad = order[z > 2 * SAFE], order[z < -2 * SAFE]
    batches = good[: STEPS * BATCH].reshape(STEPS, BATCH)
    fault = random.randint(1, STEPS)
    batches[fault, random.randint(BATCH)] = bad[0]
    rows = random.permutation(len(scaled))[: STEPS * BATCH]
    rows = rows.reshape(STEPS, BATCH)
    return {
        "x": scaled[rows, :FEATURES],  # [6, 8, 10]
        "y": scaled[rows, FEATURES:],  # [6, 8, 1]
        "w1": uniform(FEATURES, HIDDEN),  # [10, 20]: inputs x outputs
        "b1": b1,  # [20]
        "w2": uniform(HIDDEN, 1),  # [20, 1]
        "b2": uniform(1),  # [1]
        "x_fault": scaled[batches, :FEATURES],  # [6, 8, 10]
        "y_fault": np.abs(scaled[batches, FEATURES:]),  # [6, 8, 1]
        "v": v,  # [10, 1]
        "c": np.array([0.5], dtype=np.float32),  # [1]
        "learning_rate": LEARNING_RATE,
    }


def inputs(seed):
    """Return a draw that no rounding can tip over.

    Drawn again while a ReLU is within rounding of zero, a printed number
    within rounding of its neighbour, or the fault not exactly one row.
    """
    random = np.random.RandomState(seed)
    while True:
        values = draw(random)
        _, hidden, _, margin = watch(values)
        halves = np.abs(np.mod(1024 * hidden[:, 0, :3], 1) - 0.5).min()
        clear = margin > KNIFE_EDGE and halves > HALF_EDGE
        if clear and find(values, log_loss) and find(values, length_loss):
            return values


def widen(values, *names):
    """Return the named arrays in float64."""
    return [values[name].astype(np.float64) for name in names]


def watch(values):
    """Train in float64; return losses, hidden, their gradients, margin.

    a = x w1 + b1, h = max(a, 0), p = h w2 + b2, L = mean((p - y)^2);
    dL/dp = 2 (p - y) / n, dL/dh = dL/dp w2', dL/da = dL/dh where a > 0.
    """
    xs, ys, w1, b1, w2, b2 = widen(values, "x", "y", "w1", "b1", "w2", "b2")
    rate, losses, hidden, gradients = values["learning_rate"], [], [], []
    margin = math.inf
    for x, y in zip(xs, ys):
        a = x @ w1 + b1  # [8, 20]
        h = np.maximum(a, 0)
        error = h @ w2 + b2 - y  # [8, 1]
        dp = 2 * error / len(x)
        dh = dp @ w2.T  # [8, 20]
        da = dh * (a > 0)
        losses.append(np.mean(np.square(error)))
        hidden.append(h)
        gradients.append(dh)
        margin = min(margin, np.abs(a).min())
        w1, b1 = w1 - rate * (x.T @ da), b1 - rate * da.sum(axis=0)
        w2, b2 = w2 - rate * (h.T @ dp), b2 - rate * dp.sum(axis=0)
    return np.array(losses), np.array(hidden), np.array(gradients), margin


def log_loss(z, y):
    """L = mean((log z - y)^2), dL/dz = 2 (log z - y) / (n z)."""
    error = np.log(z) - y
    return np.mean(np.square(error)), 2 * error / (len(z) * z)


def length_loss(z, y):
    """L = mean((r - y)^2), r = sqrt(q), q = h^2, h = max(z, 0).

    dr/dz = 1 / (2 r) 2 h = 1 where z > 0. Elsewhere the chain rule asks
    for 1 / (2 * 0), an infinity, times 2 * 0, and that is no number.
    """
    r = np.maximum(z, 0)
    return np.mean(np.square(r - y)), 2 * (r - y) * (r / r) / len(z)


def find(values, loss_of):
    """Train until some z is not positive; return step and losses.

    z = x v + c. Returns None where a z comes near 0, or the fault never.
    """
    xs, ys, v, c = widen(values, "x_fault", "y_fault", "v", "c")
    losses = []
    for step, (x, y) in enumerate(zip(xs, ys)):
        z = x @ v + c  # [8, 1]
        if np.abs(z).min() < SAFE:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            loss, dz = loss_of(z, y)
        losses.append(loss)
        if z.min() < 0:
            return step, losses
        v = v - values["learning_rate"] * (x.T @ dz)
        c = c - values["learning_rate"] * dz.sum(axis=0)
    return None


def lines(hidden, dead, form):
    """Return what a print of step, dead units and three numbers shows."""
    numbers = np.round(1024 * hidden[:, 0, :3]).astype(int).tolist()
    return "\n".join(
        form(step, count, first)
        for step, (count, first) in enumerate(zip(dead.tolist(), numbers))
    )


def oracle(inputs):
    """Return the watched numbers, the printed lines, the faults' places.

    A unit is dead in a batch if it is zero in every row. ``printed``
    follows each framework's manner of printing; ``unused`` counts lines
    of a print that nothing depends on, which a graph prunes.
    ``backward_losses`` are finite to the last: a NaN that only the
    gradient has does not show in the loss of its step.
    """
    losses, hidden, gradients, _ = watch(inputs)
    dead = (hidden == 0).all(axis=1).sum(axis=1)
    forward_step, _ = find(inputs, log_loss)
    backward_step, backward = find(inputs, length_loss)

    def plain(step, count, first):
        return "fc1: %d %d [%d %d %d]" % (step, count, *first)

    def commas(step, count, first):
        return "fc1: %d %d [%d, %d, %d]" % (step, count, *first)

    def brackets(step, count, first):
        return "fc1: [%d][%d][%d %d %d]" % (step, count, *first)

    return {
        "loss": losses,
        "hidden": hidden,
        "hidden_gradient": gradients,
        "dead": dead.astype(np.int64),
        "printed": {
            "pytorch": lines(hidden, dead, commas),
            "tf1": lines(hidden, dead, brackets),
            "tf2": lines(hidden, dead, plain),
        },
        "unused": {"pytorch": STEPS, "tf1": 0, "tf2": STEPS},
        "forward_step": forward_step,
        "forward_operation": "Log",
        "backward_step": backward_step,
        "backward_loss": backward[-1],
        "backward_operation": {
            "pytorch": "PowBackward0",  # where the first NaN comes out
            "tf1": "SqrtGrad",  # where the infinity before it comes out
            "tf2": "SqrtGrad",
        },
    }
