"""A convolutional net: channels first, padding by hand, Adam as it is."""

import numpy as np
import torch
from torch.nn import functional


class Net(torch.nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 8, 3, padding=1, bias=False)
        # momentum: the share of the new; eps: 1e-5 unless told
        self.norm = torch.nn.BatchNorm2d(
            8, momentum=inputs["forget"], eps=inputs["norm_epsilon"]
        )
        self.conv2 = torch.nn.Conv2d(8, 16, 3, stride=2)
        self.dense = torch.nn.Linear(256, 10)

    def forward(self, x):  # [n, 1, 8, 8]
        y = functional.elu(self.norm(self.conv1(x)))  # [n, 8, 8, 8]
        # SAME with stride 2: nothing left and above, one right and below
        y = functional.pad(y, (0, 1, 0, 1))  # [n, 8, 9, 9]
        y = functional.elu(self.conv2(y))  # [n, 16, 4, 4]
        return self.dense(y.flatten(1))  # [n, 10]


# Layouts: what the files keep, and what PyTorch keeps
def kernel(k):  # [height, width, in, out] -> [out, in, height, width]
    return torch.tensor(k.transpose(3, 2, 0, 1))


def dense(w):  # rows by height, width, channel -> columns by channel first
    w = w.reshape(4, 4, 16, 10).transpose(3, 2, 0, 1)
    return torch.tensor(w.reshape(10, 256))


def run(inputs, workdir):
    # Data: one channel, in front
    x = torch.tensor(inputs["x"].transpose(0, 3, 1, 2))  # [1408, 1, 8, 8]
    digits = torch.tensor(inputs["digits"])  # [1408]
    x_test = torch.tensor(inputs["x_test"].transpose(0, 3, 1, 2))
    digits_test = torch.tensor(inputs["digits_test"])  # [389]
    batches = torch.tensor(inputs["batches"])  # [88, 32]

    # Network and first weights
    net = Net(inputs)
    with torch.no_grad():
        net.conv1.weight.copy_(kernel(inputs["k1"]))  # [8, 1, 3, 3]
        net.conv2.weight.copy_(kernel(inputs["k2"]))  # [16, 8, 3, 3]
        net.conv2.bias.copy_(torch.tensor(inputs["b2"]))  # [16]
        net.dense.weight.copy_(dense(inputs["w3"]))  # [10, 256]
        net.dense.bias.copy_(torch.tensor(inputs["b3"]))  # [10]

    # Loss and optimiser: epsilon stands beside the corrected root
    # BEGIN SOLUTION
    loss_fn = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(
        net.parameters(),
        lr=inputs["learning_rate"],
        betas=(inputs["beta1"], inputs["beta2"]),
        eps=inputs["epsilon"],
    )
    # END SOLUTION

    # One step
    # BEGIN SOLUTION
    def step(xb, yb):  # [32, 1, 8, 8], [32]
        loss = loss_fn(net(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    # END SOLUTION

    # Training: batch statistics, while the running ones follow
    # BEGIN SOLUTION
    net.train()
    losses = [step(x[rows], digits[rows]) for rows in batches]
    # END SOLUTION

    # Test: running statistics; the running variance is unbiased
    net.eval()
    with torch.no_grad():
        scores = net(x_test)  # [389, 10]
        test_loss = loss_fn(scores, digits_test)

    # Defaults: the largest weight of a fresh layer
    fresh = torch.nn.Linear(256, 256).weight.abs().max()

    # Results, in the layouts of the files
    def files(k):  # [out, in, height, width] -> [height, width, in, out]
        return k.numpy(force=True).transpose(2, 3, 1, 0)

    return {
        "loss": torch.stack(losses).numpy(force=True),  # [88]
        "k1": files(net.conv1.weight),  # [3, 3, 1, 8]
        "k2": files(net.conv2.weight),  # [3, 3, 8, 16]
        "b3": net.dense.bias.numpy(force=True),  # [10]
        "gamma": net.norm.weight.numpy(force=True),  # [8]
        "running_mean": net.norm.running_mean.numpy(force=True),  # [8]
        "running_variance": net.norm.running_var.numpy(force=True),  # [8]
        "test_loss": test_loss.numpy(force=True),  # []
        "digits": np.argmax(scores.numpy(force=True), axis=1),  # [389]
        "default_limit": fresh.numpy(force=True),  # []
    }
