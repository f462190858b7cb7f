"""A loop as an engine with events: Ignite calls, handlers answer."""

import numpy as np
import torch
from ignite.engine import Engine, Events, create_supervised_evaluator
from ignite.metrics import Average, MeanSquaredError


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(10, 20)
        self.fc2 = torch.nn.Linear(20, 1)

    def forward(self, x):  # [n, 10]
        return self.fc2(torch.relu(self.fc1(x)))  # [n, 1]


def run(inputs, workdir):
    # Data: one epoch is 11 batches of row numbers
    x = torch.tensor(inputs["x"])  # [352, 10]
    y = torch.tensor(inputs["y"])  # [352, 1]
    x_test = torch.tensor(inputs["x_test"])  # [90, 10]
    y_test = torch.tensor(inputs["y_test"])  # [90, 1]
    batches = torch.tensor(inputs["batches"])  # [16, 11, 32]
    test = list(zip(x_test.split(45), y_test.split(45)))  # 2 batches

    # Network and first weights: a Linear keeps [outputs, inputs]
    net = Net()
    with torch.no_grad():
        net.fc1.weight.copy_(torch.tensor(inputs["w1"].T))  # [20, 10]
        net.fc1.bias.copy_(torch.tensor(inputs["b1"]))  # [20]
        net.fc2.weight.copy_(torch.tensor(inputs["w2"].T))  # [1, 20]
        net.fc2.bias.copy_(torch.tensor(inputs["b2"]))  # [1]

    # Loss and optimiser
    loss_fn = torch.nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=inputs["learning_rate"])

    # One step: all that Ignite wants to know of the training
    # BEGIN SOLUTION
    def step(engine, rows):  # [32]
        loss = loss_fn(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    # END SOLUTION

    # Engines: the trainer has the step; metrics listen to what it returns
    # BEGIN SOLUTION
    trainer = Engine(step)
    Average().attach(trainer, "mean")
    evaluator = create_supervised_evaluator(
        net, metrics={"mse": MeanSquaredError()}
    )

    # Handlers: run in the order in which they were added
    events, losses, means, checks = [], [], [], []

    @trainer.on(Events.STARTED)
    def start():
        events.append("<")

    @trainer.on(Events.EPOCH_STARTED)
    def epoch_start(engine):
        events.append("[")
        # The same object for all epochs: what it yields is up to us
        engine.set_data(batches[engine.state.epoch - 1])

    @trainer.on(Events.ITERATION_COMPLETED)
    def iteration(engine):
        events.append(".")
        losses.append(engine.state.output)

    @trainer.on(Events.EPOCH_COMPLETED)
    def epoch_end(engine):
        events.append("]")
        means.append(engine.state.metrics["mean"])

    @trainer.on(Events.EPOCH_COMPLETED(every=inputs["check_every"]))
    def check():
        events.append("?")
        checks.append(evaluator.run(test).metrics["mse"])

    @trainer.on(Events.EPOCH_COMPLETED(once=inputs["halve_after"]))
    def halve():
        events.append("/")
        optimizer.param_groups[0]["lr"] /= 2

    @trainer.on(Events.COMPLETED)
    def end():
        events.append(">")

    # END SOLUTION

    # Training
    # BEGIN SOLUTION
    trainer.run(batches[0], max_epochs=len(batches))
    # END SOLUTION

    # Results
    return {
        "loss": np.float32(losses),  # [176]
        "epoch_loss": np.float32(means),  # [16]
        "test_loss": np.float32(checks),  # [4]
        "w1": net.fc1.weight.numpy(force=True).T,  # [10, 20]
        "b1": net.fc1.bias.numpy(force=True),  # [20]
        "w2": net.fc2.weight.numpy(force=True).T,  # [20, 1]
        "b2": net.fc2.bias.numpy(force=True),  # [1]
        "events": "".join(events),
    }
