"""The guide's product of two vectors: the inputs and the exact answers."""

import numpy as np

GUIDE_X, GUIDE_Y = [2.0, 3.0], [4.0, 5.0]


def inputs(seed):
    """Return the guide's pair and a second one, drawn in sixteenths.

    A product of two such numbers needs at most 14 bits, so float32 holds
    it exactly and every framework must give the same bits.
    """
    random = np.random.RandomState(seed)
    x, y = random.randint(1, 128, size=(2, 2)) / 16
    return {
        "x": np.array(GUIDE_X, dtype=np.float32),  # [2]
        "y": np.array(GUIDE_Y, dtype=np.float32),  # [2]
        "second_x": x.astype(np.float32),  # [2]
        "second_y": -y.astype(np.float32),  # [2]
    }


def oracle(inputs):
    """Return the products, d sum(x y)/dx = y, and what each model shows.

    ``seen`` is what ``x * y`` gave each time Python reached that line;
    ``recorded`` is what the framework had written down by then. Both
    follow from the execution models: PyTorch computes at once and keeps a
    record for the gradient; a TensorFlow graph is built once and holds no
    value; ``tf.function`` traces one call and runs the trace ever after.
    """
    x, y = inputs["x"].astype(np.float64), inputs["y"].astype(np.float64)
    second_x = inputs["second_x"].astype(np.float64)
    second_y = inputs["second_y"].astype(np.float64)
    return {
        "product": x * y,
        "second_product": second_x * second_y,
        "gradient_x": y,
        "gradient_y": x,
        "seen": {
            "pytorch": "number number",
            "tf1": "symbol",
            "tf2": "number symbol",
        },
        "recorded": {
            "pytorch": "MulBackward0",
            "tf1": "Placeholder Placeholder Mul",
            "tf2": "Placeholder Placeholder Mul Identity",
        },
    }
