"""Control flow, define-by-run: Python's while, if and recursion are it."""

import torch

STEPS = []  # one entry each time Python comes through the loop body


# Loop and branch: each row has a graph of its own length and shape
# BEGIN SOLUTION
def forward(x, a, p, q, limit):  # [4], [4, 4], [4], [4]
    h, count = x, 0
    while torch.sum(h * h) > limit:
        STEPS.append(count)
        h, count = h @ a, count + 1  # [4]
    if torch.sum(h) > 0:
        return count, 1, torch.sum(p * h)
    return count, 0, -2 * torch.sum(q * h)


# END SOLUTION


# Tree: a function that calls itself, down to the leaves
# BEGIN SOLUTION
def embed(leaves, left, right, w_left, w_right):
    def down(node):
        if node < len(leaves):
            return leaves[node], 0  # [4]
        joint = node - len(leaves)
        u, deep_u = down(left[joint])
        v, deep_v = down(right[joint])
        z = u @ w_left + v @ w_right  # [4]
        return torch.nn.functional.softsign(z), 1 + max(deep_u, deep_v)

    return down(len(leaves) + len(left) - 1)


# END SOLUTION


def run(inputs, workdir):
    # Weights
    a, p, q, w_left, w_right = (
        torch.tensor(inputs[name], requires_grad=True)
        for name in ("a", "p", "q", "w_left", "w_right")
    )
    leaves, s = torch.tensor(inputs["leaves"]), torch.tensor(inputs["s"])

    # Rows: what was not run is not in the graph, so it has no gradient
    rows, missing = [], set()
    for x in torch.tensor(inputs["x"]):
        count, first, y = forward(x, a, p, q, inputs["limit"])
        gradients = torch.autograd.grad(
            y, [a, p, q], allow_unused=True, retain_graph=True
        )
        missing.add(str(gradients[2 if first else 1]))
        gradients = [
            torch.zeros_like(w) if g is None else g
            for w, g in zip([a, p, q], gradients)
        ]
        rows.append([torch.tensor(count), torch.tensor(first), y, *gradients])

    # Trees
    trees = []
    for left, right in zip(inputs["left"], inputs["right"]):
        v, depth = embed(leaves, left, right, w_left, w_right)
        score = torch.sum(s * v)
        gradients = torch.autograd.grad(score, [w_left, w_right])
        trees.append([score, torch.tensor(depth), *gradients])

    # Results
    columns = [torch.stack(c).numpy(force=True) for c in zip(*rows)]
    iterations, first, y, in_a, in_p, in_q = columns
    columns = [torch.stack(c).numpy(force=True) for c in zip(*trees)]
    score, depth, in_left, in_right = columns
    return {
        "iterations": iterations,  # [6]
        "first_branch": first,  # [6]
        "y": y,  # [6]
        "gradient_a": in_a,  # [6, 4, 4]
        "gradient_p": in_p,  # [6, 4]
        "gradient_q": in_q,  # [6, 4]
        "python_steps": len(STEPS),
        "not_taken": " ".join(sorted(missing)),
        "score": score,  # [3]
        "depth": depth,  # [3]
        "gradient_left": in_left,  # [3, 4, 4]
        "gradient_right": in_right,  # [3, 4, 4]
    }
