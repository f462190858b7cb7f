"""A graph network on Zachary's karate club: two labels, 34 answers.

A graph convolution (Kipf and Welling, ICLR 2017) replaces what is known
of each member by an average over the member and its friends. Two such
layers learn, from the labels of the two leaders alone, who will follow
whom when the club splits. Data: ``labs/_data``.
"""

import math
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "_data"
MEMBERS, HIDDEN, CLUBS = 34, 4, 2
LEADERS = [0, 33]  # the instructor and the officer: all that is labelled
STEPS = 40
LEARNING_RATE = 0.25  # a power of two: float32 and float64 hold it alike
MOMENTUM = 0.5  # likewise
UNDECIDED = 1e-3  # a gap between two logits that rounding cannot close


def table(name):
    return np.loadtxt(DATA / name, delimiter=",", skiprows=1, dtype=np.int64)


def draw(random):
    """Return the club, with first weights and a renumbering drawn anew."""
    ties = table("karate_ties.csv")[:, :2] - 1  # [78, 2]: each tie once
    clubs = table("karate_members.csv")[:, 1]  # [34]

    def uniform(*shape):
        return (random.rand(*shape) * 2 - 1).astype(np.float32)

    return {
        "ties": ties,
        "features": np.eye(MEMBERS, dtype=np.float32),  # who one is: [34, 34]
        "labelled": np.array(LEADERS),  # [2]
        "labels": clubs[LEADERS],  # [2]
        "order": random.permutation(MEMBERS),  # [34]: a new list of members
        "w1": uniform(MEMBERS, HIDDEN),  # [34, 4]: inputs x outputs
        "b1": uniform(HIDDEN) / 4,  # [4]
        "w2": uniform(HIDDEN, CLUBS),  # [4, 2]
        "b2": uniform(CLUBS) / 4,  # [2]
        "learning_rate": LEARNING_RATE,
        "momentum": MOMENTUM,
        "steps": STEPS,
    }


def inputs(seed):
    """Return what every implementation starts from.

    A member whose two logits end up equal within rounding has no answer
    that could be compared; such a draw is drawn again.
    """
    random = np.random.RandomState(seed)
    while True:
        values = draw(random)
        logits = learn(values)["logits"]
        if np.abs(logits[:, 0] - logits[:, 1]).min() > UNDECIDED:
            return values


def operator(ties, members):
    """Return the averaging matrix D^-1/2 (A + I) D^-1/2, entry by entry.

    A is 1 where two members are friends, I makes everyone their own
    friend, D counts the friends.
    """
    friends = [{member} for member in range(members)]
    for member, other in ties.tolist():
        friends[member].add(other)
        friends[other].add(member)
    matrix = np.zeros((members, members))
    for i in range(members):
        for j in friends[i]:
            matrix[i, j] = 1 / math.sqrt(len(friends[i]) * len(friends[j]))
    return matrix


def softmax(logits):
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)


def learn(values):
    """Train in float64.

    With S the averaging matrix: H = tanh(S X W1 + b1), Z = S H W2 + b2,
    L = -mean(log softmax(Z)[m, label of m]) over the labelled members m.
    dL/dZ is (softmax - one-hot) / labelled in the labelled rows, else 0;
    dL/dW2 = (S H)' dL/dZ, dL/dA = (S' dL/dZ W2') (1 - H^2),
    dL/dW1 = (S X)' dL/dA; biases: column sums. Momentum m, rate r:
    v <- m v + dL/dw, w <- w - r v.
    """
    names = ("features", "w1", "b1", "w2", "b2")
    x, *weights = (values[n].astype(np.float64) for n in names)
    s = operator(values["ties"], len(x))  # [34, 34]
    rows, labels = values["labelled"], values["labels"]
    count, losses = len(rows), []
    speed = [np.zeros_like(w) for w in weights]
    for step in range(values["steps"] + 1):
        w1, b1, w2, b2 = weights
        hidden = np.tanh(s @ x @ w1 + b1)  # [34, 4]
        logits = s @ hidden @ w2 + b2  # [34, 2]
        if step == values["steps"]:  # trained: these are the answers
            break
        chance = softmax(logits[rows])  # [2, 2]
        losses.append(-np.mean(np.log(chance[range(count), labels])))
        dz = np.zeros_like(logits)
        dz[rows] = (chance - np.eye(CLUBS)[labels]) / count
        da = (s.T @ dz @ w2.T) * (1 - hidden**2)  # [34, 4]
        slopes = ((s @ x).T @ da, da.sum(0), (s @ hidden).T @ dz, dz.sum(0))
        speed = [values["momentum"] * v + g for v, g in zip(speed, slopes)]
        rate = values["learning_rate"]
        weights = [w - rate * v for w, v in zip(weights, speed)]
    return {
        "operator": s,
        "loss": np.array(losses),
        **dict(zip(names[1:], weights)),
        "hidden": hidden,
        "logits": logits,
    }


def oracle(inputs):
    """Return the averaging matrix, the loss curve, weights and answers.

    Renumbering the members renumbers the answers and changes nothing
    else: that is what makes it a network on a graph.
    """
    result = learn(inputs)
    return {
        **result,
        "club": result["logits"].argmax(axis=1),
        "renumbered": result["logits"][inputs["order"]],
    }
