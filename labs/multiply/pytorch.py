"""A product, define-by-run: the line that defines it also computes it."""

import torch


def look(tensor):
    try:
        tensor.numpy(force=True)
    except RuntimeError:
        return "symbol"
    return "number"


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = []  # what x * y gave, each time Python came by

    def forward(self, x, y):  # [2], [2]
        output = x * y  # [2]
        self.seen.append(look(output))
        return output


def run(inputs, workdir):
    # Values: numbers from the start
    x = torch.tensor(inputs["x"], requires_grad=True)  # [2]
    y = torch.tensor(inputs["y"], requires_grad=True)  # [2]
    second_x = torch.tensor(inputs["second_x"])  # [2]
    second_y = torch.tensor(inputs["second_y"])  # [2]

    # Definition: a class with a forward method; nothing has run
    # BEGIN SOLUTION
    net = Net()
    # END SOLUTION

    # The first pair: defining the product is computing it
    # BEGIN SOLUTION
    product = net(x, y)
    # END SOLUTION

    # The record: written while computing, for the gradient
    # BEGIN SOLUTION
    recorded = [product.grad_fn.name()]
    # END SOLUTION

    # The gradient of the sum: the record, walked backwards
    # BEGIN SOLUTION
    gradient_x, gradient_y = torch.autograd.grad(product.sum(), [x, y])
    # END SOLUTION

    # The second pair: Python runs forward again
    # BEGIN SOLUTION
    second_product = net(second_x, second_y)
    # END SOLUTION

    # Results
    return {
        "product": product.numpy(force=True),  # [2]
        "second_product": second_product.numpy(force=True),  # [2]
        "gradient_x": gradient_x.numpy(force=True),  # [2]
        "gradient_y": gradient_y.numpy(force=True),  # [2]
        "seen": " ".join(net.seen),
        "recorded": " ".join(recorded),
    }
