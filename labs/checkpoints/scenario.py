"""Read checkpoints of other times: the files, what is in them, the rules.

``files/`` was written once by each version (``write.py``); every file
holds the same 241 weights of a 10-20-1 network, whole 64ths, so what
comes back is checked bit for bit, and predictions are exact too: they
need no rounding in float32.
"""

import hashlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SHAPES = {"w1": (10, 20), "b1": (20,), "w2": (20, 1), "b2": (1,)}

# How, and which file. Every version must read all of these.
READABLE = {
    "pytorch": """
        state torch-1.13/state.pt
        state torch-2.13/state.pt
        state torch-1.13/old.pt
        state torch-2.13/old.pt
        whole torch-1.13/whole.pt
        whole torch-2.13/whole.pt
        script torch-1.13/script.pt
        script torch-2.13/script.pt
    """,
    "tf1": """
        named tf-1.15/named
        named tf-2.15/named
        named tf-2.21/named
        objects tf-1.15/objects
        objects tf-2.15/objects
        objects tf-2.21/objects
        keras tf-1.15/model.h5
        keras tf-2.15/model.h5
    """,
    "tf2": """
        objects tf-1.15/objects
        objects tf-2.15/objects
        objects tf-2.21/objects
        objects tf-1.15/named
        objects tf-2.15/named
        objects tf-2.21/named
        raw tf-1.15/named
        keras tf-2.15/model.h5
    """,
}
# Which versions read these, and what the others raise. Bounds are those of
# the release notes; for `graph` only 1.15, 2.15 and 2.21 were tried.
LIMITED = {
    "pytorch": """
        default torch-1.13/whole.pt <2.6 UnpicklingError
        default torch-2.13/whole.pt <2.6 UnpicklingError
        safe torch-2.13/whole.pt never UnpicklingError
        mapped torch-1.13/state.pt >=2.1 TypeError
        whole torch-2.13/newer.pt >=2.4 AttributeError
    """,
    "tf1": """
        graph tf-1.15/named any -
        graph tf-2.15/named any -
        graph tf-2.21/named >=2.15 ValueError
        strict tf-2.15/named never AssertionError
        keras tf-2.21/model.h5 never ValueError
    """,
    "tf2": """
        keras tf-1.15/model.h5 <2.16 TypeError
        keras tf-2.21/model.h5 >=2.16 TypeError
        keras tf-2.15/model.keras <2.16 TypeError
        keras tf-2.21/model.keras >=2.16 TypeError
        strict tf-2.15/objects never AssertionError
    """,
}


def weights():
    """Return what ``write.py`` was told to write."""
    values = {}
    for name, shape in SHAPES.items():
        random = np.random.RandomState(sum(map(ord, name)))
        values[name] = random.randint(-64, 65, shape) / 64
    return values


def files():
    """Return name -> bytes as uint8; a file that changed is refused."""
    table = np.loadtxt(HERE / "files.csv", str, delimiter=",", skiprows=1)
    found = {}
    for name, _, digest in table:
        data = (HERE / "files" / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"files/{name} is not the file of files.csv")
        found[str(name)] = np.frombuffer(data, dtype=np.uint8)
    return found


def inputs(seed):
    """Return files, lists of what to try, and rows to predict."""
    random = np.random.RandomState(seed)
    values = {n: w.astype(np.float32) for n, w in weights().items()}
    x = (random.randint(-8, 9, (4, 10)) / 4).astype(np.float32)
    lists = {f"{name}_reads": text for name, text in READABLE.items()}
    rules = {f"{name}_rules": text for name, text in LIMITED.items()}
    return {**files(), **values, **lists, **rules, "x": x}


def oracle(inputs):
    """Return eight times the same weights and predictions.

    p = max(x w1 + b1, 0) w2 + b2; steps of 1/4 times steps of 1/64, twice,
    stay below 2^24 units of the last place.
    """
    w = weights()
    x = inputs["x"].astype(np.float64)
    p = np.maximum(x @ w["w1"] + w["b1"], 0) @ w["w2"] + w["b2"]  # [4, 1]
    flat = np.concatenate([w[name].ravel() for name in SHAPES])  # [241]
    return {
        "weights": np.tile(flat, (8, 1)),
        "predictions": np.tile(p.ravel(), (8, 1)),
        "as_predicted": np.ones(5, dtype=bool),
    }
