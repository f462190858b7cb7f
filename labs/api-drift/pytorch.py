"""What became of the guide's PyTorch: each call, tried in this version."""

import re
import warnings

import torch

PROBES = {
    "a network class and its forward method": """
        class Net(torch.nn.Module):
            def __init__(self):
                super(Net, self).__init__()
                self.fc1 = torch.nn.Linear(10, 20)
            def forward(self, x):
                return torch.nn.functional.relu(self.fc1(x))
        assert Net()(torch.ones(3, 10)).shape == (3, 20)""",
    "MSELoss, SGD, zero_grad, backward, step": """
        optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
        loss = torch.nn.MSELoss()(net(torch.ones(3, 10)), torch.ones(3, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()""",
    "loss.item()": """
        assert torch.ones(1).sum().item() == 1.0""",
    "a loop over training_data, as printed": """
        for inputs, labels in training_data:
            net(inputs)""",
    "torch.load of a whole model": """
        torch.save(net, path)
        assert torch.load(path).weight.shape == (1, 10)""",
    "torch.load, weights_only=False": """
        torch.save(net, path)
        assert torch.load(path, weights_only=False).weight.shape == (1, 10)""",
    "torch.load of a state_dict": """
        torch.save(net.state_dict(), path)
        net.load_state_dict(torch.load(path))""",
    "register_hook on a layer": """
        net.register_hook(print)""",
    "register_hook on a tensor": """
        torch.ones(1, requires_grad=True).register_hook(print)""",
    "register_forward_hook on a layer": """
        net.register_forward_hook(print)""",
    "a snippet that ends inside a call": """
        compile("layer = torch.nn.Linear(20, 1", "snippet", "exec")""",
    "net.summary()": """
        net.summary()""",
    "print(net)": """
        assert "in_features=10" in str(net)""",
    "a product of two tensors": """
        product = torch.tensor([2.0, 3.0]) * torch.tensor([4.0, 5.0])
        assert str(product).startswith("tensor([ 8., 15.]")""",
}


# Outcome: works, deprecated (works, and warns), or the error's type
def attempt(code, workdir):
    space = {
        "torch": torch,
        "net": torch.nn.Linear(10, 1),
        "path": str(workdir / "model.pth"),
    }
    lines = code.strip("\n").split("\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec("\n".join(line[8:] for line in lines), space)  # noqa: S102
        except Exception as fault:
            return type(fault).__name__
    said = " ".join(str(w.message) for w in caught)
    old = re.search("deprecated|will be removed|the default value", said)
    return "deprecated" if old else "works"


# Rule: "name | versions | outcome"; the versions are like ">=2.4,<2.6"
def foretell(rules, version):
    have, outcomes = numbers(version), {}
    for rule in rules.splitlines():
        name, versions, outcome = rule.split(" | ")
        if versions == "any" or all(
            have >= numbers(v) if v[:2] == ">=" else have < numbers(v)
            for v in versions.split(",")
        ):
            outcomes[name] = outcome
    return outcomes


def numbers(version):
    return [int(n) for n in re.findall(r"\d+", version)[:2]]


def run(inputs, workdir):
    rules, version = inputs["rules_pytorch"], torch.__version__
    found = {name: attempt(code, workdir) for name, code in PROBES.items()}
    told = foretell(rules, version)
    always = [r.split(" | ")[0] for r in rules.splitlines() if "| any |" in r]

    # Results
    return {
        "version": str(version),
        "found": "\n".join("%s: %s" % pair for pair in found.items()),
        "probes": len(found),
        "same_everywhere": "\n".join(
            "%s: %s" % (name, found.get(name)) for name in always
        ),
        "surprises": "\n".join(
            "%s: %s, not %s" % (name, found.get(name), told.get(name))
            for name in sorted(set(found) | set(told))
            if found.get(name) != told.get(name)
        ),
    }
