"""Classify 8x8 digits: data, first weights, and the exact answer.

A 3x3 convolution to 8 channels, batch normalisation, ELU; a 3x3
convolution with stride 2 to 16 channels, ELU; a dense layer to 10
scores; cross entropy; Adam. Data: ``labs/_data``. ELU has no kink in its
slope, so no rounding decides which way a gradient goes.
"""

from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "_data" / "digits.csv"
TRAIN_ROWS, BATCH, EPOCHS = 1408, 32, 2  # 44 batches x 2 = 88 steps
CLEAR_WIN = 1e-3  # between the two best scores of an image
# All dyadic: float32 and float64 hold them alike.
RULES = {
    "learning_rate": 1 / 128,
    "beta1": 7 / 8,
    "beta2": 63 / 64,
    "epsilon": 1 / 1024,  # of Adam, in PyTorch's place: see ``adam``
    "forget": 1 / 8,  # share of a batch in the running mean and variance
    "norm_epsilon": 1 / 1024,  # of batch normalisation
    # Versions of TensorFlow (2.16 brought Keras 3) whose Keras layer keeps
    # the biased variance of a batch of images
    "biased_variance": ">=2.16",
}


def images():
    """Return pixels in [0, 1] (exact: sixteenths) and digits."""
    table = np.loadtxt(DATA, dtype=str, delimiter=",", skiprows=1)
    pixels = [[int(level, 17) for level in row] for row in table[:, 0]]
    x = np.array(pixels).reshape(-1, 8, 8, 1) / 16
    return x.astype(np.float32), table[:, 1].astype(np.int64)


def draw(random):
    """Draw a split, the batches and initial weights."""
    x, digits = images()
    order = random.permutation(len(x))
    train, test = order[:TRAIN_ROWS], order[TRAIN_ROWS:]
    batches = [
        random.permutation(TRAIN_ROWS).reshape(-1, BATCH)
        for _ in range(EPOCHS)
    ]

    def uniform(limit, *shape):
        return ((2 * random.rand(*shape) - 1) * limit).astype(np.float32)

    return {
        "x": x[train],  # [1408, 8, 8, 1]: rows, height, width, channel
        "digits": digits[train],  # [1408]
        "x_test": x[test],  # [389, 8, 8, 1]
        "digits_test": digits[test],  # [389]
        "batches": np.concatenate(batches).astype(np.int64),  # [88, 32]
        "k1": uniform(1 / 2, 3, 3, 1, 8),  # height, width, in, out
        "k2": uniform(1 / 4, 3, 3, 8, 16),
        "b2": uniform(1 / 4, 16),
        "w3": uniform(1 / 8, 4 * 4 * 16, 10),  # rows: height, width, channel
        "b3": uniform(1 / 8, 10),
        **RULES,
    }


def inputs(seed):
    """Return the arrays that every implementation starts from.

    A draw is repeated if it leaves the two best scores of a test image
    within rounding of each other: either digit would be right.
    """
    random = np.random.RandomState(seed)
    while True:
        values = draw(random)
        scores = np.sort(train(values)["scores"], axis=1)
        if (scores[:, -1] - scores[:, -2]).min() > CLEAR_WIN:
            return values


def windows(x, stride, before, after):
    """Return the 3x3 windows of zero-padded x: [n, h, w, channel, 3, 3]."""
    edge = (before, after)
    x = np.pad(x, ((0, 0), edge, edge, (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return view[:, ::stride, ::stride]


def convolve(view, kernel):
    """y[n,h,w,o] = sum over i, j, c of window[c,i,j] kernel[i,j,c,o]."""
    return np.einsum("nhwcij,ijco->nhwo", view, kernel, optimize=True)


def elu(a):
    """E(a) = a for a > 0, exp(a) - 1 otherwise; its slope: E + 1 there."""
    y = np.where(a > 0, a, np.expm1(np.minimum(a, 0)))
    return y, np.where(a > 0, 1.0, y + 1)


def forward(x, w, mean=None, variance=None):
    """Return scores and what the way back needs.

    SAME padding: stride 1 takes one pixel on each side; stride 2 turns 8
    into 4 and misses (4 - 1) 2 + 3 - 8 = 1 pixel, taken at the far side.
    Normalisation uses the batch's mean and (biased) variance unless told.
    """
    view1 = windows(x, 1, 1, 1)
    a1 = convolve(view1, w["k1"])  # [n, 8, 8, 8]
    batch = a1.mean(axis=(0, 1, 2)), a1.var(axis=(0, 1, 2))
    mean, variance = (mean, variance) if mean is not None else batch
    root = np.sqrt(variance + RULES["norm_epsilon"])
    z = (a1 - mean) / root
    y1, slope1 = elu(w["gamma"] * z + w["beta"])
    view2 = windows(y1, 2, 0, 1)
    y2, slope2 = elu(convolve(view2, w["k2"]) + w["b2"])  # [n, 4, 4, 16]
    flat = y2.reshape(len(x), -1)  # [n, 256]
    scores = flat @ w["w3"] + w["b3"]  # [n, 10]
    return scores, (view1, z, root, slope1, view2, slope2, flat, batch)


def cross_entropy(scores, digits):
    """L = mean(log sum exp(s) - s_digit); dL/ds = (softmax - onehot) / n."""
    s = scores - scores.max(axis=1, keepdims=True)
    total = np.exp(s).sum(axis=1, keepdims=True)
    p = np.exp(s) / total
    rows = np.arange(len(s))
    loss = np.mean(np.log(total[:, 0]) - s[rows, digits])
    p[rows, digits] -= 1
    return loss, p / len(s)


def backward(d, w, kept):
    """Return dL/dw for every weight, from d = dL/dscores.

    Through the normalisation: with z = (a - mean) / root and dz, for the
    N values of a channel, da = (dz - mean(dz) - z mean(dz z)) / root.
    """
    view1, z, root, slope1, view2, slope2, flat, _ = kept
    g = {"w3": flat.T @ d, "b3": d.sum(axis=0)}
    da2 = (d @ w["w3"].T).reshape(slope2.shape) * slope2  # [n, 4, 4, 16]
    g["k2"] = np.einsum("nhwcij,nhwo->ijco", view2, da2, optimize=True)
    g["b2"] = da2.sum(axis=(0, 1, 2))
    dy1 = np.zeros((len(d), 9, 9, 8))  # with the padding
    for i in range(3):
        for j in range(3):
            dy1[:, i : i + 7 : 2, j : j + 7 : 2] += da2 @ w["k2"][i, j].T
    du = dy1[:, :8, :8] * slope1
    g["gamma"], g["beta"] = (du * z).sum((0, 1, 2)), du.sum((0, 1, 2))
    dz = du * w["gamma"]
    mean, along = dz.mean(axis=(0, 1, 2)), (dz * z).mean(axis=(0, 1, 2))
    da1 = (dz - mean - z * along) / root
    g["k1"] = np.einsum("nhwcij,nhwo->ijco", view1, da1, optimize=True)
    return g


def adam(w, g, state, t, rules):
    """Adam as in the paper, epsilon beside the corrected root.

    m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2,
    w <- w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon).
    """
    b1, b2 = rules["beta1"], rules["beta2"]
    for name in w:
        m, v = state.get(name, (0.0, 0.0))
        m = b1 * m + (1 - b1) * g[name]
        v = b2 * v + (1 - b2) * np.square(g[name])
        state[name] = m, v
        root = np.sqrt(v / (1 - b2**t)) + rules["epsilon"]
        w[name] = w[name] - rules["learning_rate"] * m / (1 - b1**t) / root


def train(values):
    """Train and test in float64.

    Running variance: r <- (1 - f) r + f N / (N - 1) v, from 1, where v is
    the batch's biased variance over N values; the mean likewise, from 0.
    """
    names = ("k1", "k2", "b2", "w3", "b3")
    w = {name: values[name].astype(np.float64) for name in names}
    w["gamma"], w["beta"] = np.ones(8), np.zeros(8)
    x, digits = values["x"].astype(np.float64), values["digits"]
    mean, variance, forget = np.zeros(8), np.ones(8), values["forget"]
    losses, state = [], {}
    for t, rows in enumerate(values["batches"], start=1):
        scores, kept = forward(x[rows], w)
        loss, d = cross_entropy(scores, digits[rows])
        losses.append(loss)
        adam(w, backward(d, w, kept), state, t, values)
        batch_mean, batch_variance = kept[-1]
        count = len(rows) * 64
        unbiased = batch_variance * count / (count - 1)
        mean = (1 - forget) * mean + forget * batch_mean
        variance = (1 - forget) * variance + forget * unbiased
    x_test = values["x_test"].astype(np.float64)
    scores, _ = forward(x_test, w, mean, variance)
    return {
        "loss": np.array(losses),
        "weights": w,
        "mean": mean,
        "variance": variance,
        "scores": scores,
        "test_loss": cross_entropy(scores, values["digits_test"])[0],
    }


def oracle(inputs):
    """Return the loss curve, weights in TensorFlow's layout, and the test."""
    found = train(inputs)
    w = found["weights"]
    # The largest of many draws from a library's default for a dense layer
    # of 256 to 256: 1 / sqrt(fan in), or Glorot's sqrt(6 / (in + out))
    glorot = np.sqrt(6 / 512)
    return {
        "loss": found["loss"],  # [88]
        "k1": w["k1"],  # [3, 3, 1, 8]
        "k2": w["k2"],  # [3, 3, 8, 16]
        "b3": w["b3"],  # [10]
        "gamma": w["gamma"],  # [8]
        "running_mean": found["mean"],  # [8]
        "running_variance": found["variance"],  # [8]
        "test_loss": found["test_loss"],
        "digits": np.argmax(found["scores"], axis=1),  # [389]
        "default_limit": {
            "pytorch": 1 / 16,
            "tf1": glorot,
            "tf2": glorot,
        },
    }
