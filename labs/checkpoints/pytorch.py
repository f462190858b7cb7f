"""Read checkpoints of two PyTorch versions, in whichever this is."""

import os

import numpy as np
import torch


# Network: needed where a file holds only numbers
# BEGIN SOLUTION
def build():
    return torch.nn.Sequential(
        torch.nn.Linear(10, 20),  # [n, 10] -> [n, 20]
        torch.nn.ReLU(),  # [n, 20]
        torch.nn.Linear(20, 1),  # [n, 1]
    )


# END SOLUTION


def filled(state):
    net = build()
    net.load_state_dict(state)
    return net


# Ways to read: each returns a network
WAYS = {
    "state": lambda p: filled(torch.load(p, weights_only=True)),
    "whole": lambda p: torch.load(p, weights_only=False),
    "script": torch.jit.load,
    "default": torch.load,
    "safe": lambda p: torch.load(p, weights_only=True),
    "mapped": lambda p: filled(torch.load(p, mmap=True)),
}


# Rules: "any", "never", ">=2.4", "<2.6"
def allows(rule, version):
    if rule in ("any", "never"):
        return rule == "any"
    here = [int(n) for n in version.split("+")[0].split(".")[:2]]
    there = [int(n) for n in rule.strip("<>=").split(".")]
    return here < there if rule[0] == "<" else here >= there


# Weights: one vector, matrices as [inputs, outputs]
# BEGIN SOLUTION
def answers(way, path, inputs):
    net = WAYS[way](path)
    weights = list(net.parameters())
    parts = [p.numpy(force=True).T.ravel() for p in weights]
    # A file brings its device along: the rows go to where the weights are
    x = torch.tensor(inputs["x"], device=weights[0].device)  # [4, 10]
    with torch.no_grad():
        predictions = net(x)  # [4, 1]
    return np.concatenate(parts), predictions.numpy(force=True).ravel()


# END SOLUTION


def run(inputs, workdir):
    # Files: bytes become files again
    for name, data in inputs.items():
        if "/" in name:
            path = os.path.join(workdir, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            data.tofile(path)

    # Readable everywhere: weights and predictions of each
    found = []
    for line in inputs["pytorch_reads"].split("\n")[1:-1]:
        way, name = line.split()
        found.append(answers(way, os.path.join(workdir, name), inputs))

    # Limited: what really happens, held against the rule
    names = ("w1", "b1", "w2", "b2")
    known = np.concatenate([inputs[n].ravel() for n in names])  # [241]
    predicted, story = [], []
    for line in inputs["pytorch_rules"].split("\n")[1:-1]:
        way, name, rule, error = line.split()
        try:
            flat, _ = answers(way, os.path.join(workdir, name), inputs)
            seen = "read" if np.array_equal(flat, known) else "other numbers"
        except Exception as fault:
            seen = type(fault).__name__
        right = "read" if allows(rule, torch.__version__) else error
        predicted.append(seen == right)
        story.append("%s %s: %s" % (way, name, seen))

    # Results
    return {
        "weights": np.array([flat for flat, _ in found]),  # [8, 241]
        "predictions": np.array([p for _, p in found]),  # [8, 4]
        "as_predicted": np.array(predicted),  # [5]
        "story": "\n".join(["torch " + torch.__version__, *story]),
    }
