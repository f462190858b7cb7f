"""A graph network, PyTorch Geometric: messages travel along the ties."""

import torch
from torch_geometric.nn import GCNConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import to_dense_adj, to_undirected


# Network: each layer passes messages on, so it needs the ties at each call
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = GCNConv(34, 4)
        self.conv2 = GCNConv(4, 2)

    def forward(self, x, ties):  # [34, 34], [2, 156]
        hidden = torch.tanh(self.conv1(x, ties))  # [34, 4]
        return hidden, self.conv2(hidden, ties)  # [34, 2]


def run(inputs, workdir):
    # Graph: a list of ties, both ways; GCNConv makes the average of it
    features = torch.tensor(inputs["features"])  # [34, 34]
    ties = to_undirected(torch.tensor(inputs["ties"]).T)  # [2, 156]
    pairs, shares = gcn_norm(ties, num_nodes=34)  # [2, 190], [190]
    operator = to_dense_adj(pairs, edge_attr=shares)[0]  # [34, 34]

    # First weights: a GCNConv keeps its matrix as [outputs, inputs]
    net = Net()
    with torch.no_grad():
        net.conv1.lin.weight.copy_(torch.tensor(inputs["w1"].T))  # [4, 34]
        net.conv1.bias.copy_(torch.tensor(inputs["b1"]))  # [4]
        net.conv2.lin.weight.copy_(torch.tensor(inputs["w2"].T))  # [2, 4]
        net.conv2.bias.copy_(torch.tensor(inputs["b2"]))  # [2]

    # Loss and optimiser: only two members have a label
    # BEGIN SOLUTION
    labelled = torch.tensor(inputs["labelled"])  # [2]
    labels = torch.tensor(inputs["labels"])  # [2]
    loss_fn = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=inputs["learning_rate"],
        momentum=inputs["momentum"],
    )
    # END SOLUTION

    # One step: the whole graph goes in, two answers are graded
    # BEGIN SOLUTION
    def step():
        _, logits = net(features, ties)  # [34, 2]
        loss = loss_fn(logits[labelled], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    # END SOLUTION

    # Training
    # BEGIN SOLUTION
    losses = [step() for _ in range(inputs["steps"])]
    # END SOLUTION

    # Answers
    with torch.no_grad():
        hidden, logits = net(features, ties)  # [34, 4], [34, 2]

    # The same club, members renumbered: order[k] is now number k
    order = torch.tensor(inputs["order"])  # [34]
    rank = torch.argsort(order)  # [34]: old number -> new number
    with torch.no_grad():
        _, renumbered = net(features[order], rank[ties])  # [34, 2]

    # Results
    return {
        "operator": operator.numpy(force=True),  # [34, 34]
        "loss": torch.stack(losses).numpy(force=True),  # [40]
        "w1": net.conv1.lin.weight.numpy(force=True).T,  # [34, 4]
        "b1": net.conv1.bias.numpy(force=True),  # [4]
        "w2": net.conv2.lin.weight.numpy(force=True).T,  # [4, 2]
        "b2": net.conv2.bias.numpy(force=True),  # [2]
        "hidden": hidden.numpy(force=True),  # [34, 4]
        "logits": logits.numpy(force=True),  # [34, 2]
        "club": logits.argmax(dim=1).numpy(force=True),  # [34]
        "renumbered": renumbered.numpy(force=True),  # [34, 2]
    }
