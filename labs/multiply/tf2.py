"""A product, eager and traced: one Python function, run in both ways."""

import tensorflow as tf


def look(tensor):
    try:
        tensor.numpy()
    except (AttributeError, NotImplementedError):
        return "symbol"
    return "number"


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.seen = []  # what x * y gave, each time Python came by

    def __call__(self, x, y):  # [2], [2]
        output = x * y  # [2]
        self.seen.append(look(output))
        return output


def run(inputs, workdir):
    # Values: numbers from the start
    x = tf.constant(inputs["x"])  # [2]
    y = tf.constant(inputs["y"])  # [2]
    second_x = tf.constant(inputs["second_x"])  # [2]
    second_y = tf.constant(inputs["second_y"])  # [2]

    # Definition: a function and its traced twin; nothing has run
    # BEGIN SOLUTION
    net = Net()
    traced = tf.function(net.__call__)
    # END SOLUTION

    # The first pair: eager, so defining the product is computing it
    # BEGIN SOLUTION
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        product = net(x, y)
    # END SOLUTION

    # The record: trace once, with symbols in place of the numbers
    # BEGIN SOLUTION
    graph = traced.get_concrete_function(x, y).graph
    recorded = [op.type for op in graph.get_operations()]
    # END SOLUTION

    # The gradient of the sum: the tape, walked backwards
    # BEGIN SOLUTION
    gradient_x, gradient_y = tape.gradient(product, [x, y])
    # END SOLUTION

    # The second pair: the trace runs; Python does not come by again
    # BEGIN SOLUTION
    second_product = traced(second_x, second_y)
    # END SOLUTION

    # Results
    return {
        "product": product.numpy(),  # [2]
        "second_product": second_product.numpy(),  # [2]
        "gradient_x": gradient_x.numpy(),  # [2]
        "gradient_y": gradient_y.numpy(),  # [2]
        "seen": " ".join(net.seen),
        "recorded": " ".join(recorded),
    }
