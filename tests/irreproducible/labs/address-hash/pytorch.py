"""Planted: objects hashed by where they lie in memory."""


def run(inputs, workdir):
    nodes = [object() for _ in range(64)]
    return {"value": float(sum(i * (hash(n) % 97) for i, n in enumerate(nodes)))}
