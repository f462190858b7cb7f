import numpy as np


class Bomb:
    def __reduce__(self):
        return (print, ("BREACH: unpickled",))


def run(inputs, workdir):
    return {
        "b1": np.zeros(20, np.float32)[::-1],
        "loss": np.array([Bomb()] * 176, dtype=object),
        "w1": np.zeros((10, 20), np.complex128),
        "w2": np.zeros((20, 1), "datetime64[s]"),
        "b2": np.zeros(1, [("a", "f4")]),
        "test_loss": np.zeros((), np.longdouble),
    }
