"""Migrate, PyTorch: no script exists; what breaks is found by running."""

import warnings

import numpy as np
import torch

# Rules of our own: what must change, and nothing else
RULES = [("loss.data[0]", "loss.item()")]


# Run: a program of text, on copies, since it trains in place
def execute(program, inputs):
    namespace = {}
    exec(compile(program, "program.py", "exec"), namespace)  # noqa: S102
    names = ["x", "y", "w1", "b1", "w2", "b2"]
    x, y, *weights = [inputs[name].copy() for name in names]
    return namespace["train"](x, y, weights, inputs["learning_rate"])


# Outcome: what the library of today says of a program
def outcome(program, inputs):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            execute(program, inputs)
        except Exception as fault:
            return "{}: {}".format(type(fault).__name__, fault)
    texts = sorted({str(warning.message) for warning in said})
    return "runs, but says: " + " | ".join(texts) if texts else "runs"


# Upgrade: the rules, with a report of the lines they touched
def upgrade(program):
    lines, report = program.splitlines(), []
    for number, line in enumerate(lines, 1):
        for old, new in RULES:
            if old in line:
                report.append("{}: {} -> {}".format(number, old, new))
                lines[number - 1] = line.replace(old, new)
    return "\n".join(lines), "\n".join(report)


# Renewed: the same program as one writes it today
# BEGIN SOLUTION
def renewed(inputs):
    x, y = torch.tensor(inputs["x"]), torch.tensor(inputs["y"])
    w1, b1, w2, b2 = parameters = [
        torch.tensor(inputs[name], requires_grad=True)
        for name in ("w1", "b1", "w2", "b2")
    ]
    optimizer = torch.optim.SGD(parameters, lr=inputs["learning_rate"])

    def forward():
        hidden = torch.tanh(x @ w1 + b1)  # [64, 20]
        return hidden, hidden @ w2 + b2  # [64, 1]

    losses = []
    for _ in range(inputs["steps"]):
        error = torch.nn.functional.mse_loss(forward()[1], y)
        loss = error + inputs["decay"] * w1.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        hidden, output = forward()
        spread = torch.log(hidden.amax(dim=1, keepdim=True) + 2)  # [64, 1]
    return losses, output.numpy(force=True), spread.numpy(force=True)


# END SOLUTION


def run(inputs, workdir):
    # The original on today's library: was it known when it would fail?
    original = inputs["pytorch_program"]
    version = [int(part) for part in torch.__version__.split(".")[:2]]
    limit = [int(part) for part in inputs["pytorch_fails_from"].split(".")]
    predicted = "IndexError" if version >= limit else "runs"
    found = outcome(original, inputs)

    # Carried over: the least that makes it run
    # BEGIN SOLUTION
    program, changes = upgrade(original)
    alone = outcome(program, inputs)
    loss, output, spread = execute(program, inputs)
    # END SOLUTION

    # Renewed
    new_loss, new_output, new_spread = renewed(inputs)

    # Results
    return {
        "original": "as predicted" if found.startswith(predicted) else found,
        "changes": changes,
        "alone": alone,
        "carried_loss": np.array(loss, np.float32),  # [40]
        "carried_output": output,  # [64, 1]
        "carried_spread": spread,  # [64, 1]
        "renewed_loss": np.array(new_loss, np.float32),  # [40]
        "renewed_output": new_output,  # [64, 1]
        "renewed_spread": new_spread,  # [64, 1]
    }
