"""Debugging, define-by-run: hooks see every tensor as it is made."""

import os
import re
import sys

import torch


class Log(torch.nn.Module):
    def forward(self, z):  # [8, 1]
        return torch.log(z)


class Length(torch.nn.Module):
    def forward(self, z):  # [8, 1]
        squares = torch.square(torch.relu(z))
        return torch.sqrt(squares.sum(dim=1, keepdim=True))


# Printed lines: what reaches the process's standard error, from Python or C++
def capture(path, action):
    sys.stderr.flush()
    keep, file = os.dup(2), os.open(str(path), os.O_CREAT | os.O_WRONLY)
    os.dup2(file, 2)
    try:
        action()
    finally:
        sys.stderr.flush()
        os.dup2(keep, 2)
    return path.read_text().splitlines()


# Watching: hidden activations, their gradients, dead units
# BEGIN SOLUTION
def watch(inputs, losses, hidden, gradients, dead):
    fc1, fc2 = torch.nn.Linear(10, 20), torch.nn.Linear(20, 1)
    net = torch.nn.Sequential(fc1, torch.nn.ReLU(), fc2)
    with torch.no_grad():
        fc1.weight.copy_(torch.tensor(inputs["w1"].T))  # [20, 10]
        fc1.bias.copy_(torch.tensor(inputs["b1"]))  # [20]
        fc2.weight.copy_(torch.tensor(inputs["w2"].T))  # [1, 20]
        fc2.bias.copy_(torch.tensor(inputs["b2"]))  # [1]

    def look(module, args, output):  # [8, 20]
        count = (output == 0).all(dim=0).sum()
        first = torch.round(1024 * output[0, :3]).int()
        step = len(hidden)
        print("fc1:", step, count.item(), first.tolist(), file=sys.stderr)
        print("unused:", step, file=sys.stderr)
        hidden.append(output.detach())
        output.register_hook(gradients.append)
        dead.append(count)

    net[1].register_forward_hook(look)
    optimizer = torch.optim.SGD(net.parameters(), lr=inputs["learning_rate"])
    for x, y in zip(torch.tensor(inputs["x"]), torch.tensor(inputs["y"])):
        loss = torch.nn.functional.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())


# END SOLUTION


# Detecting: a hook on every module, and autograd's own anomaly mode
# BEGIN SOLUTION
def detect(inputs, head):
    net = torch.nn.Sequential(torch.nn.Linear(10, 1), head)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(inputs["v"].T))  # [1, 10]
        net[0].bias.copy_(torch.tensor(inputs["c"]))  # [1]

    def check(module, args, output):
        if not torch.isfinite(output).all():
            kind = type(module).__name__
            raise RuntimeError("Function '%s' returned nan" % kind)

    for module in net:
        module.register_forward_hook(check)
    optimizer = torch.optim.SGD(net.parameters(), lr=inputs["learning_rate"])
    xs, ys = torch.tensor(inputs["x_fault"]), torch.tensor(inputs["y_fault"])
    loss = None
    with torch.autograd.detect_anomaly():
        for step, (x, y) in enumerate(zip(xs, ys)):
            try:
                loss = torch.nn.functional.mse_loss(net(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            except RuntimeError as fault:
                operation = re.search(r"Function '(\w+)' returned", str(fault))
                return step, operation.group(1), loss.detach()
    return None  # no fault was found


# END SOLUTION


def run(inputs, workdir):
    losses, hidden, gradients, dead = [], [], [], []
    lines = capture(
        workdir / "printed.txt",
        lambda: watch(inputs, losses, hidden, gradients, dead),
    )
    forward_step, forward_operation, _ = detect(inputs, Log())
    backward_step, backward_operation, backward_loss = detect(inputs, Length())

    gradient = torch.stack(gradients)  # [6, 8, 20]

    # Results
    return {
        "loss": torch.stack(losses).numpy(force=True),  # [6]
        "hidden": torch.stack(hidden).numpy(force=True),  # [6, 8, 20]
        "hidden_gradient": gradient.numpy(force=True),  # [6, 8, 20]
        "dead": torch.stack(dead).numpy(force=True),  # [6]
        "printed": "\n".join(s for s in lines if s.startswith("fc1:")),
        "unused": sum(s.startswith("unused:") for s in lines),
        "forward_step": forward_step,
        "forward_operation": forward_operation,
        "backward_step": backward_step,
        "backward_loss": backward_loss.numpy(force=True),  # []
        "backward_operation": backward_operation,
    }
