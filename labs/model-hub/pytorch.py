"""A model hub, PyTorch: a folder of code and weights, run by torch.hub."""

import os

import numpy as np
import torch

FOLDER = "regressor"

# The model as code: hubconf.py travels with the weights, and each function
# in it is an entry that others can load by name
HUBCONF = '''\
"""What torch.hub finds in this folder."""

import os

import torch

dependencies = ["torch"]


def regressor(pretrained=True):
    """Ten measurements of a patient -> progression of the disease."""
    net = torch.nn.Sequential(
        torch.nn.Linear(10, 20), torch.nn.Tanh(), torch.nn.Linear(20, 1)
    )
    if pretrained:
        path = os.path.join(os.path.dirname(__file__), "weights.pt")
        net.load_state_dict(torch.load(path, weights_only=True))
    return net


def features(pretrained=True):
    """Ten measurements of a patient -> twenty features."""
    return regressor(pretrained)[:2]
'''


# Weights: one vector, matrices as [inputs, outputs]
def flatten(*modules):
    parameters = [p for module in modules for p in module.parameters()]
    return np.concatenate([p.numpy(force=True).T.ravel() for p in parameters])


def publish(inputs, workdir):
    # Code
    folder = os.path.join(workdir, FOLDER)
    os.mkdir(folder)
    with open(os.path.join(folder, "hubconf.py"), "w") as file:
        file.write(HUBCONF)

    # Weights: a Linear keeps its matrix as [outputs, inputs]
    weights = {
        "0.weight": torch.tensor(inputs["w1"].T),  # [20, 10]
        "0.bias": torch.tensor(inputs["b1"]),  # [20]
        "2.weight": torch.tensor(inputs["w2"].T),  # [1, 20]
        "2.bias": torch.tensor(inputs["b2"]),  # [1]
    }
    torch.save(weights, os.path.join(folder, "weights.pt"))

    # Answers before anyone else loads it
    net = torch.hub.load(folder, "regressor", source="local")
    with torch.no_grad():
        predictions = net(torch.tensor(inputs["x_test"]))
    return {"published_predictions": predictions.numpy(force=True)}  # [90, 1]


def use(inputs, workdir):
    x = torch.tensor(inputs["x"])  # [352, 10]
    x_test = torch.tensor(inputs["x_test"])  # [90, 10]
    worse = torch.tensor(inputs["worse"])  # [352, 1]

    # Load: the code of the folder is imported and run here
    # BEGIN SOLUTION
    folder = os.path.join(workdir, FOLDER)
    net = torch.hub.load(folder, "regressor", source="local")
    base = torch.hub.load(folder, "features", source="local")
    # END SOLUTION

    # Answers
    with torch.no_grad():
        predictions = net(x_test)  # [90, 1]
        features = base(x_test)  # [90, 20]

    # A head of our own on the published features, which stay as they are
    # BEGIN SOLUTION
    base.requires_grad_(False)
    head = torch.nn.Linear(20, 1)
    torch.nn.init.zeros_(head.weight)  # [1, 20]
    torch.nn.init.zeros_(head.bias)  # [1]
    loss_fn = torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(head.parameters(), lr=inputs["learning_rate"])
    # END SOLUTION

    # One step
    # BEGIN SOLUTION
    def step():
        loss = loss_fn(head(base(x)), worse)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    # END SOLUTION

    # Training
    # BEGIN SOLUTION
    losses = [step() for _ in range(inputs["steps"])]
    # END SOLUTION

    # Results
    with torch.no_grad():
        risk = torch.sigmoid(head(features))  # [90, 1]
    return {
        "loaded_predictions": predictions.numpy(force=True),  # [90, 1]
        "features": features.numpy(force=True),  # [90, 20]
        "head_loss": torch.stack(losses).numpy(force=True),  # [40]
        "head": flatten(head),  # [21]
        "risk": risk.numpy(force=True),  # [90, 1]
        "weights": flatten(base, net[2]),  # [241]
    }
