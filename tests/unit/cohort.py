"""A cohort of made-up students who solve one task in their own ways, and some who copy.

Each program is a choice among ways to write each part of the training task; a copy has other names,
comments and another order of its parts.
"""

from __future__ import annotations

import random
import re

TASK = '''"""Training, define-by-run."""

import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(10, 20)
        self.fc2 = torch.nn.Linear(20, 1)

    def forward(self, x):  # [n, 10]
{forward}

{helpers}
def run(inputs, workdir):
    # Data: torch.tensor copies
    x = torch.tensor(inputs["x"])
    y = torch.tensor(inputs["y"])
    x_test = torch.tensor(inputs["x_test"])
    y_test = torch.tensor(inputs["y_test"])
    batches = torch.tensor(inputs["batches"])

    net = Net()
    # First weights
{weights}
{train}
    # Results
    return {{
        "loss": losses.numpy(force=True),  # [176]
        "w1": net.fc1.weight.numpy(force=True).T,  # [10, 20]
        "predictions": predictions.numpy(force=True),  # [90, 1]
        "test_loss": test_loss.numpy(force=True),  # []
    }}
'''
FORWARD = (
    """        x = self.fc1(x)
        x = torch.nn.functional.relu(x)
        return self.fc2(x)""",
    "        return self.fc2(torch.relu(self.fc1(x)))",
    """        h = self.fc1(x).clamp(min=0)
        out = self.fc2(h)
        return out""",
    """        hidden = torch.nn.functional.relu(self.fc1(x))
        return self.fc2(hidden)""",
    """        a = self.fc1(x)
        a = torch.where(a > 0, a, torch.zeros_like(a))
        return self.fc2(a)""",
)
WEIGHTS = (
    """    with torch.no_grad():
        net.fc1.weight.copy_(torch.tensor(inputs["w1"].T))
        net.fc1.bias.copy_(torch.tensor(inputs["b1"]))
        net.fc2.weight.copy_(torch.tensor(inputs["w2"].T))
        net.fc2.bias.copy_(torch.tensor(inputs["b2"]))""",
    """    net.fc1.weight.data = torch.from_numpy(inputs["w1"].T.copy())
    net.fc1.bias.data = torch.from_numpy(inputs["b1"].copy())
    net.fc2.weight.data = torch.from_numpy(inputs["w2"].T.copy())
    net.fc2.bias.data = torch.from_numpy(inputs["b2"].copy())""",
    """    state = {"fc1.weight": torch.tensor(inputs["w1"].T),
             "fc1.bias": torch.tensor(inputs["b1"]), "fc2.weight": torch.tensor(inputs["w2"].T),
             "fc2.bias": torch.tensor(inputs["b2"])}
    net.load_state_dict(state)""",
    """    names = ["w1", "b1", "w2", "b2"]
    for name, p in zip(names, net.parameters()):
        value = torch.tensor(inputs[name])
        p.data.copy_(value.t() if value.dim() == 2 else value)""",
    """    for layer, w, b in ((net.fc1, "w1", "b1"), (net.fc2, "w2", "b2")):
        layer.weight = torch.nn.Parameter(torch.tensor(inputs[w].T))
        layer.bias = torch.nn.Parameter(torch.tensor(inputs[b]))""",
)
LOSS = (
    "loss_fn = torch.nn.MSELoss()",
    "loss_fn = torch.nn.functional.mse_loss",
    "loss_fn = lambda p, t: ((p - t) ** 2).mean()",
    "loss_fn = lambda a, b: torch.mean(torch.square(a - b))",
)
OPTIMISER = (
    'optimizer = torch.optim.SGD(net.parameters(), lr=inputs["learning_rate"])',
    """lr = float(inputs["learning_rate"])
    optimizer = torch.optim.SGD(params=net.parameters(), lr=lr, momentum=0.0)""",
    'optimizer = torch.optim.SGD([{"params": net.parameters()}], lr=inputs["learning_rate"])',
)
TRAIN = (
    """    losses = []
    for rows in batches:
        optimizer.zero_grad()
        loss = loss_fn(net(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    losses = torch.stack(losses)""",
    """    def step(xb, yb):
        loss = loss_fn(net(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()
    losses = torch.stack([step(x[r], y[r]) for r in batches])""",
    """    losses = torch.zeros(len(batches))
    for i in range(len(batches)):
        idx = batches[i]
        xb, yb = x[idx], y[idx]
        pred = net(xb)
        loss = loss_fn(pred, yb)
        for p in net.parameters():
            p.grad = None
        loss.backward()
        optimizer.step()
        losses[i] = loss.item()""",
    """    n = batches.shape[0]
    history = torch.empty(n)
    i = 0
    while i < n:
        out = net(torch.index_select(x, 0, batches[i]))
        target = torch.index_select(y, 0, batches[i])
        error = loss_fn(out, target)
        net.zero_grad()
        error.backward()
        optimizer.step()
        history[i] = error.detach()
        i += 1
    losses = history""",
)
TEST = (
    """    with torch.no_grad():
        predictions = net(x_test)
        test_loss = loss_fn(predictions, y_test)""",
    """    net.eval()
    predictions = net(x_test).detach()
    test_loss = loss_fn(predictions, y_test).detach()""",
    """    with torch.inference_mode():
        predictions = net.forward(x_test)
        test_loss = loss_fn(predictions, y_test)""",
)
EXTRA = (
    """    print("start", x.shape, y.shape)
""",
    """    assert x.shape[0] == y.shape[0], "rows differ"
""",
    """    torch.manual_seed(0)
    device = torch.device("cpu")
    net = net.to(device)
""",
    """    if workdir is None:
        raise ValueError("no workdir given")
""",
    """    weights = [p.numel() for p in net.parameters()]
    print(sum(weights), "parameters", weights)
""",
)
HELPERS = (
    """def show(values, every=10):
    for i, v in enumerate(values):
        if i % every == 0:
            print(i, float(v))
""",
    """def batch(x, y, rows):
    return torch.index_select(x, 0, rows), y[rows].clone()
""",
    """class Timer:
    def __enter__(self):
        import time
        self.begun = time.perf_counter()
        return self

    def __exit__(self, *args):
        print("took", self.begun)
""",
)
STARTER = TASK.format(
    forward='        raise NotImplementedError("forward")',
    helpers="",
    weights='    raise NotImplementedError("weights")',
    train='    raise NotImplementedError("train")',
)
_OURS = (
    "x y x_test y_test batches net inputs run workdir Net forward self torch fc1 fc2 predictions "
    "test_loss losses weight bias lr params momentum min force dim every"
)
OURS = frozenset(_OURS.split())


def program(dice: random.Random) -> str:
    """One student's own solution."""
    some = dice.choice
    train = [f"    {some(LOSS)}", f"    {some(OPTIMISER)}"]
    for part in (TRAIN, TEST):
        train.append(some(("", *EXTRA)) + some(part))
    return TASK.format(
        forward=some(FORWARD),
        helpers="\n".join(dice.sample(HELPERS, some((0, 0, 1, 2)))),
        weights=some(WEIGHTS),
        train="\n".join(train),
    )


def disguised(source: str, dice: random.Random) -> str:
    """A copy that tries not to look like one."""
    own = set(re.findall(r"\b([a-z_]+)\s*(?:,\s*[a-z_]+\s*)*=[^=]", source)) - OURS
    for name in sorted(own | {"loss", "xb", "yb", "rows", "idx"}):
        other = f"{name}_{dice.randint(0, 99)}x"
        source = re.sub(rf'(?<![\w."]){name}(?![\w"(])', other, source)
    lines = []
    for line in source.split("\n"):
        if dice.random() < 0.2 and line.strip() and not line.strip().startswith(("}", '"')):
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f"{indent}# step {dice.randint(0, 999)} of my own work")
        lines.append(line)
    source = "\n".join(lines)
    net = re.search(r"class Net.*?(?=\n\n\n|\n\n[a-z])", source, re.DOTALL)
    if net and dice.random() < 0.7:
        source = source.replace(net[0], "") + "\n\n" + net[0]
    return source
