"""Visualising, define-by-run: a writer is told what to keep."""

import sys
import types

import numpy as np
import torch

# TensorBoard's own switch: without it, it would load TensorFlow if it can
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
from tensorboard.backend.event_processing import event_accumulator  # noqa
from torch.utils.tensorboard import SummaryWriter  # noqa

TAGS = ["fc1_output", "fc2_output"]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(10, 20)
        self.fc2 = torch.nn.Linear(20, 1)

    def layers(self, x):  # [n, 10]
        fc1 = torch.nn.functional.relu(self.fc1(x))  # [n, 20]
        return fc1, self.fc2(fc1)  # [n, 1]

    def forward(self, x):
        return self.layers(x)[1]


# Summary: a module lists its parts, so a table is three lines
def summarise(net):
    lines, shapes, total = [], [], 0
    for name, layer in net.named_children():
        shapes.append([layer.in_features, layer.out_features])
        size = sum(p.numel() for p in layer.parameters())
        lines.append("%s: %d -> %d, %d parameters" % (name, *shapes[-1], size))
        total += size
    lines.append("total: %d parameters" % total)
    return "\n".join(lines), total, np.array(shapes)


# Writing: a line per number, while training
# BEGIN SOLUTION
def write(inputs, folder):
    net = Net()
    with torch.no_grad():
        net.fc1.weight.copy_(torch.tensor(inputs["w1"].T))  # [20, 10]
        net.fc1.bias.copy_(torch.tensor(inputs["b1"]))  # [20]
        net.fc2.weight.copy_(torch.tensor(inputs["w2"].T))  # [1, 20]
        net.fc2.bias.copy_(torch.tensor(inputs["b2"]))  # [1]
    loss_fn = torch.nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=inputs["learning_rate"])
    xs, ys = torch.tensor(inputs["x"]), torch.tensor(inputs["y"])
    with SummaryWriter(folder) as writer:
        writer.add_graph(net, xs[0])  # runs the net once, to record it
        for step, (x, y) in enumerate(zip(xs, ys)):
            fc1, fc2 = net.layers(x)
            loss = loss_fn(fc2, y)
            writer.add_scalar("loss", loss.item(), step)
            writer.add_histogram("fc1_output", fc1, step)
            writer.add_histogram("fc2_output", fc2, step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net


# END SOLUTION


# Reading: event by event, with TensorBoard's reader
# BEGIN SOLUTION
def read(folder):
    keep = {"scalars": 0, "histograms": 0}  # 0: all of them
    reader = event_accumulator.EventAccumulator(folder, keep).Reload()
    kinds = [k for k, tags in sorted(reader.Tags().items()) if tags]
    scalars = reader.Scalars("loss")
    columns = zip(*[reader.Histograms(tag) for tag in TAGS])
    stats = [
        [[v.num, v.min, v.max] for v in (e.histogram_value for e in events)]
        for events in columns
    ]  # [8, 2, 3]
    nodes = [
        (node.op, node.attr["_output_shapes"].list.shape[0].dim[-1].size)
        for node in reader.Graph().node
        if node.op in ("aten::linear", "aten::relu")
    ]
    kinds = [k for k in kinds if k in ("histograms", "scalars", "tensors")]
    return kinds, scalars, np.array(stats), nodes


# END SOLUTION


def run(inputs, workdir):
    net = write(inputs, str(workdir / "logs"))
    summary, parameters, shapes = summarise(net)
    kinds, scalars, stats, nodes = read(str(workdir / "logs"))

    # Results
    return {
        "summary": summary,
        "parameters": parameters,
        "layer_shapes": shapes,  # [2, 2]
        "steps": np.array([e.step for e in scalars]),  # [8]
        "loss": np.array([e.value for e in scalars], np.float32),  # [8]
        "histogram_count": stats[:, :, 0].astype(np.int64),  # [8, 2]
        "histogram_min": stats[:, :, 1].astype(np.float32),  # [8, 2]
        "histogram_max": stats[:, :, 2].astype(np.float32),  # [8, 2]
        "stored_as": " ".join(kinds),
        "graph_operations": " ".join(op for op, _ in nodes),
        "graph_widths": np.array([width for _, width in nodes]),  # [3]
    }
