"""Probability: densities, divergences, a posterior found in three ways.

The model is a straight line with known noise, y ~ N(a + b x, 0.75), and
a standard normal prior for a and b: simple enough for an exact answer
on paper. Random numbers are inputs, so that all draw the same ones.
Data: ``labs/_data``.
"""

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "_data" / "diabetes.csv"
ROWS = 32
NOISE = 0.75
VALUES = 8  # of each distribution
FITS, DRAWS = 60, 8
STEPS, CHAINS = 100, 4
LEARNING_RATE = 0.0078125  # a power of two: float32 and float64 hold it alike
UNDECIDED = 2e-4  # a gap between log ratio and log uniform that stays open
LN_2PI = math.log(2 * math.pi)


def draw(random):
    """Return data and random numbers; fractions are whole 1024ths."""
    rows = random.permutation(442)[:ROWS]
    data = np.loadtxt(DATA, delimiter=",", skiprows=1)[rows]

    def between(low, high, *shape):
        whole = random.randint(int(low * 1024), int(high * 1024) + 1, shape)
        return (whole / 1024).astype(np.float32)

    return {
        "x": ((data[:, 2] - 24) / 4).astype(np.float32),  # [32]: mass index
        "y": ((data[:, 10] - 128) / 64).astype(np.float32),  # [32]: disease
        "noise": NOISE,
        "loc": between(-2, 2, VALUES),  # [8]
        "scale": between(0.5, 2, VALUES),  # [8]
        "a": between(0.5, 4, VALUES),  # [8]: concentration
        "b": between(0.5, 4, VALUES),  # [8]: rate, or second concentration
        "real": between(-3, 3, VALUES),  # [8]
        "fraction": between(0.0625, 0.9375, VALUES),  # [8]
        "count": random.randint(0, 9, VALUES).astype(np.float32),  # [8]
        "bit": random.randint(0, 2, VALUES).astype(np.float32),  # [8]
        "uniform": between(0.0078125, 0.9921875, FITS, DRAWS, 2),
        "learning_rate": LEARNING_RATE,
        "jump": (random.randn(STEPS, CHAINS, 2) / 4).astype(np.float32),
        "log_uniform": np.log(1 - random.rand(STEPS, CHAINS)).astype(
            np.float32
        ),
        "start": between(-1, 1, CHAINS, 2),  # [4, 2]
        "steps": STEPS,
    }


def inputs(seed):
    """Return what every implementation starts from.

    A proposal whose acceptance hangs on the last bits would send two
    frameworks different ways; such a draw is drawn again.
    """
    random = np.random.RandomState(seed)
    while True:
        values = draw(random)
        if metropolis(values)[2] > UNDECIDED:
            return values


def log_prob(v):
    """Return the log densities, from the textbook, one row each."""
    gamma = np.vectorize(math.lgamma)
    n, a, b, loc, scale = v["count"], v["a"], v["b"], v["loc"], v["scale"]
    z, f = (v["real"] - loc) / scale, v["fraction"]
    df = a + 1
    return np.stack(
        [
            -(z**2) / 2 - np.log(scale) - LN_2PI / 2,
            gamma((df + 1) / 2)
            - gamma(df / 2)
            - np.log(df * math.pi) / 2
            - np.log(scale)
            - (df + 1) / 2 * np.log1p(z**2 / df),
            a * np.log(b) - gamma(a) + (a - 1) * np.log(f) - b * f,
            gamma(a + b)
            - gamma(a)
            - gamma(b)
            + (a - 1) * np.log(f)
            + (b - 1) * np.log1p(-f),
            n * np.log(b) - b - gamma(n + 1),
            v["bit"] * loc - np.logaddexp(0, loc),
        ]
    )


def digamma(x):
    """Return the slope of log gamma: recurrence, then Stirling's series."""
    x, shift = np.array(x, float), 0.0
    for _ in range(12):  # from x + 12 on the series is good to 1e-13
        shift, x = shift - 1 / x, x + 1
    r = 1 / x**2
    series = r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r / 240)))
    return shift + np.log(x) - 1 / (2 * x) - series


def divergence(v):
    """Return KL(p || q); q has the parameters of p in reverse order."""
    gamma = np.vectorize(math.lgamma)
    a, b, loc, scale = v["a"], v["b"], v["loc"], v["scale"]
    c, d, far, wide = (t[::-1] for t in (a, b, loc, scale))
    p, q = 1 / (1 + np.exp(-loc)), 1 / (1 + np.exp(-far))

    def log_beta(s, t):
        return gamma(s) + gamma(t) - gamma(s + t)

    return np.stack(
        [
            np.log(wide / scale)
            + (scale**2 + (loc - far) ** 2) / (2 * wide**2)
            - 0.5,
            (a - c) * digamma(a)
            - gamma(a)
            + gamma(c)
            + c * np.log(b / d)
            + a * (d / b - 1),
            log_beta(c, d)
            - log_beta(a, b)
            + (a - c) * digamma(a)
            + (b - d) * digamma(b)
            + (c - a + d - b) * digamma(a + b),
            p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)),
        ]
    )


def log_joint(v, points):
    """Return log prior + log likelihood at points [..., 2]."""
    fit = points[..., :1] + points[..., 1:] * v["x"]
    prior = -(points**2) / 2 - LN_2PI / 2
    z = (v["y"] - fit) / v["noise"]
    data = -(z**2) / 2 - math.log(v["noise"]) - LN_2PI / 2
    return prior.sum(-1) + data.sum(-1)


def posterior(v):
    """Return exact means and deviations of a and b.

    Normal prior, normal noise: the posterior is normal, with precision
    P = I + X'X / s^2 and mean P^-1 X'y / s^2.
    """
    design = np.stack([np.ones(ROWS), v["x"]], axis=1)  # [32, 2]
    precision = np.eye(2) + design.T @ design / v["noise"] ** 2
    mean = np.linalg.solve(precision, design.T @ v["y"] / v["noise"] ** 2)
    return np.stack([mean, np.sqrt(np.diag(np.linalg.inv(precision)))])


def fit(v):
    """Climb the evidence lower bound of q = N(m, exp(rho)).

    z = m + s e with e the normal quantile of a uniform number, s = exp(rho):
    dz/dm = 1, dz/drho = s e; g = d log joint / dz = -z + [1, x]'(y - a - b x)
    / noise^2; the entropy of q is rho + ln(2 pi e) / 2 per parameter.
    """
    quantile = np.vectorize(NormalDist().inv_cdf)
    mean, rho, bounds = np.zeros(2), -np.ones(2), []
    noise = quantile(v["uniform"])  # [60, 8, 2]
    for e in noise:  # [8, 2]
        z = mean + np.exp(rho) * e
        entropy = (rho + (LN_2PI + 1) / 2).sum()
        bounds.append(log_joint(v, z).mean() + entropy)
        rest = v["y"] - z[:, :1] - z[:, 1:] * v["x"]  # [8, 32]
        pull = np.stack([rest.sum(1), rest @ v["x"]], axis=1)
        g = -z + pull / v["noise"] ** 2  # [8, 2]
        slope = (g * np.exp(rho) * e).mean(0) + 1
        mean = mean + v["learning_rate"] * g.mean(0)
        rho = rho + v["learning_rate"] * slope
    first = np.exp(-1) * noise[0]
    return first, np.array(bounds), np.stack([mean, np.exp(rho)])


def metropolis(values):
    """Walk at random; return the chain, what was accepted, the least gap."""
    v = doubles(values)
    state, gap = v["start"], math.inf
    chain, accepted = [], []
    for jump, limit in zip(v["jump"], v["log_uniform"]):
        proposal = state + jump  # [4, 2]
        ratio = log_joint(v, proposal) - log_joint(v, state)  # [4]
        gap = min(gap, np.abs(ratio - limit).min())
        accepted.append(ratio > limit)
        state = np.where(accepted[-1][:, None], proposal, state)
        chain.append(state)
    return np.array(chain), np.array(accepted), gap


def doubles(values):
    return {
        name: value.astype(np.float64) if np.ndim(value) else value
        for name, value in values.items()
    }


def oracle(inputs):
    """Return what the textbook says, in float64."""
    v = doubles(inputs)
    first, bounds, fitted = fit(v)
    chain, accepted, _ = metropolis(inputs)
    logits_first = 1 / (1 + math.exp(-0.25))
    return {
        "log_prob": log_prob(v),
        "kl": divergence(v),
        "first_argument": {
            "pytorch": 0.25,  # Bernoulli(0.25): a probability
            "tf1": logits_first,  # Bernoulli(0.25): a logit
            "tf2": logits_first,
        },
        "posterior": posterior(v),
        "draws": first,
        "bound": bounds,
        "fitted": fitted,
        "chain": chain,
        "accepted": accepted,
    }
