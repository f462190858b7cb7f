"""A loop, a branch and a tree that the data decide: inputs and answers."""

import numpy as np

ROWS, WIDTH, TREES, LEAVES = 6, 4, 3, 6
LIMIT = 1.0  # the loop ends when the squared length is not above this
EDGE = 1e-3  # how far every decision stays from the point where it turns
LONGEST = 24  # loops longer than this are drawn again


def tree(random):
    """Draw a binary tree: children before parents, the root last.

    Nodes 0 to 5 are the leaves; node 6 + i joins left[i] and right[i].
    """
    roots, left, right = list(range(LEAVES)), [], []
    while len(roots) > 1:
        for side in (left, right):
            side.append(roots.pop(random.randint(len(roots))))
        roots.append(LEAVES + len(left) - 1)
    return left, right


def draw(random):
    """Draw rows of very different lengths, weights and three trees."""

    def uniform(*shape):
        return (random.rand(*shape) - 0.5).astype(np.float32)

    lengths = 2.0 ** np.arange(ROWS)[random.permutation(ROWS)]
    trees = np.array([tree(random) for _ in range(TREES)])  # [3, 2, 5]
    return {
        "x": uniform(ROWS, WIDTH) * lengths[:, None].astype(np.float32),
        "a": uniform(WIDTH, WIDTH) + np.eye(WIDTH, dtype=np.float32) / 4,
        "p": uniform(WIDTH),  # [4]: one branch
        "q": uniform(WIDTH),  # [4]: the other
        "limit": LIMIT,
        "leaves": 2 * uniform(LEAVES, WIDTH),  # [6, 4]
        "left": trees[:, 0].astype(np.int64),  # [3, 5]
        "right": trees[:, 1].astype(np.int64),  # [3, 5]
        "w_left": uniform(WIDTH, WIDTH),  # [4, 4]
        "w_right": uniform(WIDTH, WIDTH),  # [4, 4]
        "s": uniform(WIDTH),  # [4]
    }


def inputs(seed):
    """Return a draw whose decisions no rounding can turn.

    All loops end, not all at once, and both branches are taken.
    """
    random = np.random.RandomState(seed)
    while True:
        values = draw(random)
        walks = [walk(values, x) for x in values["x"].astype(np.float64)]
        if any(path is None for path in walks):
            continue
        lengths = {len(path) for path in walks}
        branches = {path[-1].sum() > 0 for path in walks}
        if len(lengths) > 2 and len(branches) == 2:
            return values


def walk(values, h):
    """Return h_0, h_1 = h_0 a, ... to the first with |h|^2 <= limit.

    Returns None when it is long, or a decision is near its turning point.
    """
    a, path = values["a"].astype(np.float64), [h]
    while h @ h > values["limit"] and len(path) <= LONGEST:
        if abs(h @ h - values["limit"]) < EDGE:
            return None
        h = h @ a
        path.append(h)
    near = min(abs(h @ h - values["limit"]), abs(h.sum()))
    return None if near < EDGE or len(path) > LONGEST else path


def branch_and_loop(values, x):
    """Return one row's answers and gradients, the loop unrolled.

    y = p.h if sum(h) > 0 else -2 q.h, h = h_n; with d_n = dy/dh_n,
    dy/da = sum over k of h_k' d_(k+1), and d_k = d_(k+1) a'.
    """
    a, p, q = (values[n].astype(np.float64) for n in ("a", "p", "q"))
    path = walk(values, x)
    h, first = path[-1], path[-1].sum() > 0
    d = p if first else -2 * q
    y = d @ h
    gradient_a = np.zeros_like(a)
    for earlier in reversed(path[:-1]):
        gradient_a += np.outer(earlier, d)
        d = a @ d
    zero = np.zeros(WIDTH)
    gradient_p, gradient_q = (h, zero) if first else (zero, -2 * h)
    return len(path) - 1, int(first), y, gradient_a, gradient_p, gradient_q


def score(values, left, right):
    """Return a tree's score and its gradients in w_left and w_right.

    v = z / (1 + |z|), z = v_left w_left + v_right w_right for a joint,
    the leaf itself for a leaf; score = s.v_root; dv/dz = 1 / (1 + |z|)^2.
    """
    w_left, w_right, s = (
        values[n].astype(np.float64) for n in ("w_left", "w_right", "s")
    )

    def down(node, depth):
        """Return value, depth, and a function from dv to (dl, dr)."""
        if node < LEAVES:
            leaf = values["leaves"][node].astype(np.float64)
            return leaf, depth, lambda _: (0.0, 0.0)
        below = [
            down(side[node - LEAVES], depth + 1) for side in (left, right)
        ]
        (u, _, up_left), (v, _, up_right) = below
        z = u @ w_left + v @ w_right

        def up(dv):
            dz = dv / np.square(1 + np.abs(z))
            l1, r1 = up_left(dz @ w_left.T)
            l2, r2 = up_right(dz @ w_right.T)
            return l1 + l2 + np.outer(u, dz), r1 + r2 + np.outer(v, dz)

        return z / (1 + np.abs(z)), max(b[1] for b in below), up

    root, depth, up = down(LEAVES + len(left) - 1, 0)
    return (s @ root, depth, *up(s))


def oracle(inputs):
    """Return values, counts and gradients of the loops and of the trees.

    ``python_steps`` counts how often Python itself came through the loop
    body: every turn where Python is the loop, once where it only writes
    the loop down. ``not_taken`` is the gradient of the branch not taken.
    """
    rows = [branch_and_loop(inputs, x) for x in inputs["x"].astype(float)]
    iterations, first, y, in_a, in_p, in_q = map(np.array, zip(*rows))
    trees = [
        score(inputs, left, right)
        for left, right in zip(inputs["left"], inputs["right"])
    ]
    scores, depth, in_left, in_right = map(np.array, zip(*trees))
    return {
        "iterations": iterations.astype(np.int64),
        "first_branch": first.astype(np.int64),
        "y": y,
        "gradient_a": in_a,
        "gradient_p": in_p,
        "gradient_q": in_q,
        "python_steps": {
            "pytorch": int(iterations.sum()),
            "tf1": 1,
            "tf2": 1,
        },
        "not_taken": {"pytorch": "None", "tf1": "zeros", "tf2": "zeros"},
        "score": scores,
        "depth": depth.astype(np.int64),
        "gradient_left": in_left,
        "gradient_right": in_right,
    }
