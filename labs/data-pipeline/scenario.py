"""Stream 60 rows of real data through each framework's data pipeline.

What is checked is order and bits: which row comes when, in batches of
which size, with which values after a change of scale. Data: ``labs/_data``.
"""

import hashlib
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "_data" / "diabetes.csv"
ROWS, FEATURES, BATCH, EPOCHS = 60, 10, 16, 2


def inputs(seed):
    """Return rows, and the permutations that take the place of shuffling."""
    random = np.random.RandomState(seed)
    table = np.loadtxt(DATA, delimiter=",", skiprows=1)  # [442, 11]
    chosen = random.permutation(len(table))[:ROWS]
    orders = [random.permutation(ROWS) for _ in range(EPOCHS)]
    return {
        "x": table[chosen, :FEATURES].astype(np.float32),  # [60, 10]
        "orders": np.stack(orders).astype(np.int64),  # [2, 60]
        "batch": BATCH,
        "shift": 64.0,  # a power of two each: one rounding, known to all
        "scale": 0.25,
        "split": "train",
        "buffer": 8,
    }


def hashed(split):
    """Return the order in which TensorFlow Datasets puts rows into files.

    Rows are sorted by MD5(split name, key in decimals), a number of 128
    bits, so that neighbours in the source are none in the file.
    """

    def place(key):
        digest = hashlib.md5((split + str(key)).encode())  # noqa: S324
        return int(digest.hexdigest(), 16)

    return np.array(sorted(range(ROWS), key=place))


def oracle(inputs):
    """Return streams of row numbers, and rows, by plain indexing."""
    orders, batch = inputs["orders"], inputs["batch"]
    x = (inputs["x"].astype(np.float64) - inputs["shift"]) * inputs["scale"]
    full = ROWS // batch
    sizes = [batch] * full + [ROWS - full * batch] * (ROWS % batch > 0)
    kept = {
        "pytorch": np.arange(ROWS),
        "tf1": hashed(inputs["split"]),
        "tf2": hashed(inputs["split"]),
    }
    return {
        "element": "id:int64[] x:float32[10]",
        "written": kept,  # [60]
        "slice": {name: order[10:20] for name, order in kept.items()},
        "ids": orders.ravel(),  # [120]
        "sizes": np.array(sizes * EPOCHS),  # [8]
        "x": x[orders.ravel()],  # [120, 10]
        "full": orders[0, : full * batch].reshape(full, batch),  # [3, 16]
        "second_half": orders[0, 1::2],  # [30]
        "prefetched": orders[0],  # [60]
        "shuffle_is_local": {"pytorch": False, "tf1": True, "tf2": True},
    }
