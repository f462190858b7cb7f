"""A product, define-and-run: the line that defines it computes nothing."""

import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def look(tensor):
    try:
        tensor.numpy()
    except (AttributeError, NotImplementedError):
        return "symbol"
    return "number"


class Net:
    def __init__(self):
        self.seen = []  # what x * y gave, each time Python came by

    def __call__(self, x, y):  # [2], [2]
        output = x * y  # [2]
        self.seen.append(look(output))
        return output


def run(inputs, workdir):
    # Values: places for numbers, filled at each run
    x = tf.placeholder(tf.float32, shape=[2])
    y = tf.placeholder(tf.float32, shape=[2])
    first = {x: inputs["x"], y: inputs["y"]}
    second = {x: inputs["second_x"], y: inputs["second_y"]}

    # Definition: three nodes of a graph; nothing has run
    # BEGIN SOLUTION
    net = Net()
    output = net(x, y)
    # END SOLUTION

    with tf.Session() as sess:
        # The first pair: now the numbers appear
        # BEGIN SOLUTION
        product = sess.run(output, feed_dict=first)
        # END SOLUTION

        # The record: the whole program, there before any number was
        # BEGIN SOLUTION
        recorded = [op.type for op in sess.graph.get_operations()]
        # END SOLUTION

        # The gradient of the sum: more nodes in the same graph
        # BEGIN SOLUTION
        gradients = tf.gradients(output, [x, y])
        gradient_x, gradient_y = sess.run(gradients, feed_dict=first)
        # END SOLUTION

        # The second pair: the same graph; Python does not come by again
        # BEGIN SOLUTION
        second_product = sess.run(output, feed_dict=second)
        # END SOLUTION

    # Results
    return {
        "product": product,  # [2]
        "second_product": second_product,  # [2]
        "gradient_x": gradient_x,  # [2]
        "gradient_y": gradient_y,  # [2]
        "seen": " ".join(net.seen),
        "recorded": " ".join(recorded),
    }
