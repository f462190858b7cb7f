"""Three networks, run as Python goes and as a graph: weights and answers.

``guide`` is the 10-20-1, ``deep`` has thirty layers of 20 (many small
operations), ``wide`` two of 256 (few large ones).
"""

import numpy as np

SIZES = {
    "guide": [10, 20, 1],
    "deep": [10] + [20] * 30 + [1],
    "wide": [10, 256, 256, 1],
}
ROWS = {"guide": 32, "deep": 32, "wide": 128}
CALLS = {"guide": 20, "deep": 4, "wide": 4}  # calls per timing
REPEATS = 15  # timings per way, in turn


def inputs(seed):
    """Return rows and parameters: each layer's matrix, then its bias.

    Uniform in +-sqrt(6 / inputs): the size of the numbers then neither
    grows nor shrinks from layer to layer.
    """
    random = np.random.RandomState(seed)
    values = {"repeats": REPEATS}
    for name, sizes in SIZES.items():
        parameters = []
        for rows, columns in zip(sizes, sizes[1:]):
            w = (2 * random.rand(rows, columns) - 1) * np.sqrt(6 / rows)
            parameters += [w.ravel(), random.rand(columns) / 8]
        values[name + "_sizes"] = np.array(sizes, dtype=np.int64)
        values[name + "_parameters"] = np.concatenate(parameters).astype(
            np.float32
        )
        x = 2 * random.rand(ROWS[name], sizes[0]) - 1
        values[name + "_x"] = x.astype(np.float32)
        values[name + "_calls"] = CALLS[name]
    return values


def oracle(inputs):
    """Return what each network answers, for every way of running it.

    h_0 = x, h_k = max(h_(k-1) w_k + b_k, 0), the last without the max.
    """
    answers = {
        "ways": {
            "pytorch": "eager, jit.trace, compile",
            "tf1": "NumPy, session.run, make_callable",
            "tf2": "eager, tf.function, XLA",
        }
    }
    for name in SIZES:
        sizes = inputs[name + "_sizes"]
        rest = inputs[name + "_parameters"].astype(np.float64)
        h = inputs[name + "_x"].astype(np.float64)
        for k, (rows, columns) in enumerate(zip(sizes, sizes[1:])):
            w, b, rest = np.split(
                rest, [rows * columns, rows * columns + columns]
            )
            h = h @ w.reshape(rows, columns) + b
            if k < len(sizes) - 2:
                h = np.maximum(h, 0)
        answers[name] = np.stack([h[:, 0]] * 3)  # [3, rows]
    return answers
