"""Save and evaluate: parameters by name, or the module as a pickle."""

import os

import numpy as np
import torch

PARAMETERS, WHOLE = "model.pt", "model.pth"


# Network: the code, needed again by every rebuild
def build():
    return torch.nn.Sequential(
        torch.nn.Linear(10, 20),  # [n, 10] -> [n, 20]
        torch.nn.ReLU(),  # [n, 20]
        torch.nn.Linear(20, 1),  # [n, 1]
    )


# Evaluation: answers and loss, without a record for gradients
def evaluate(net, inputs):
    x = torch.tensor(inputs["x_test"])  # [90, 10]
    y = torch.tensor(inputs["y_test"])  # [90, 1]
    with torch.no_grad():
        predictions = net(x)  # [90, 1]
        loss = torch.nn.functional.mse_loss(predictions, y)
    return predictions.numpy(force=True), loss.numpy(force=True)


# Weights: one vector, matrices as [inputs, outputs]
def flatten(net):
    parts = [p.numpy(force=True).T.ravel() for p in net.parameters()]
    return np.concatenate(parts)  # [241]


def save(inputs, workdir):
    # Finished weights
    net = build()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(inputs["w1"].T))  # [20, 10]
        net[0].bias.copy_(torch.tensor(inputs["b1"]))  # [20]
        net[2].weight.copy_(torch.tensor(inputs["w2"].T))  # [1, 20]
        net[2].bias.copy_(torch.tensor(inputs["b2"]))  # [1]

    # Save: parameters under their names, then everything
    # BEGIN SOLUTION
    torch.save(net.state_dict(), os.path.join(workdir, PARAMETERS))
    torch.save(net, os.path.join(workdir, WHOLE))
    # END SOLUTION

    # Results
    _, loss = evaluate(net, inputs)
    return {"saved_loss": loss}  # []


def load(inputs, workdir):
    # Rebuilt: our code makes the network, the file fills it
    # BEGIN SOLUTION
    net = build()
    path = os.path.join(workdir, PARAMETERS)
    net.load_state_dict(torch.load(path, weights_only=True))
    rebuilt_weights = flatten(net)
    rebuilt_predictions, rebuilt_loss = evaluate(net, inputs)
    # END SOLUTION

    # Whole: the file names the classes; unpickling runs what it says
    # BEGIN SOLUTION
    path = os.path.join(workdir, WHOLE)
    net = torch.load(path, weights_only=False)
    whole_weights = flatten(net)
    whole_predictions, whole_loss = evaluate(net, inputs)
    # END SOLUTION

    # Results
    return {
        "rebuilt_weights": rebuilt_weights,  # [241]
        "rebuilt_predictions": rebuilt_predictions,  # [90, 1]
        "rebuilt_loss": rebuilt_loss,  # []
        "whole_weights": whole_weights,  # [241]
        "whole_predictions": whole_predictions,  # [90, 1]
        "whole_loss": whole_loss,  # []
    }
