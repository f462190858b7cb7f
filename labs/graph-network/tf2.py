"""A graph network, TensorFlow 2: a layer is a sparse matrix product."""

import numpy as np
import tensorflow as tf


# Average: D^-1/2 (A + I) D^-1/2 as a sparse matrix, 34 + 2 * 78 entries
def average(ties):  # [78, 2]
    loops = tf.tile(tf.range(34, dtype=tf.int64)[:, None], [1, 2])  # [34, 2]
    pairs = tf.concat([loops, ties, ties[:, ::-1]], axis=0)  # [190, 2]
    ones = tf.SparseTensor(pairs, tf.ones([190]), [34, 34])
    friends = tf.sparse.reduce_sum(ones, axis=1)  # [34]
    shares = tf.math.rsqrt(tf.gather(friends, pairs))  # [190, 2]
    entries = shares[:, 0] * shares[:, 1]  # [190]
    return tf.sparse.reorder(tf.SparseTensor(pairs, entries, [34, 34]))


# Network: each layer averages over friends, so it needs the matrix
class Net(tf.Module):
    def __init__(self, w1, b1, w2, b2):
        super().__init__()
        self.w1, self.b1 = tf.Variable(w1), tf.Variable(b1)  # [34, 4], [4]
        self.w2, self.b2 = tf.Variable(w2), tf.Variable(b2)  # [4, 2], [2]

    def __call__(self, x, matrix):  # [34, 34], [34, 34]
        mixed = tf.sparse.sparse_dense_matmul(matrix, x @ self.w1)
        hidden = tf.tanh(mixed + self.b1)  # [34, 4]
        mixed = tf.sparse.sparse_dense_matmul(matrix, hidden @ self.w2)
        return hidden, mixed + self.b2  # [34, 2]


def run(inputs, workdir):
    # Graph: a list of ties; we make the average of it
    features = tf.constant(inputs["features"])  # [34, 34]
    ties = tf.constant(inputs["ties"])  # [78, 2]
    matrix = average(ties)

    # First weights: matrices as [inputs, outputs]
    names = ["w1", "b1", "w2", "b2"]
    net = Net(*[inputs[n] for n in names])

    # Loss and optimiser: only two members have a label
    # BEGIN SOLUTION
    labelled = tf.constant(inputs["labelled"])  # [2]
    labels = tf.constant(inputs["labels"])  # [2]
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.SGD(
        inputs["learning_rate"], inputs["momentum"]
    )
    # END SOLUTION

    # One step: the whole graph goes in, two answers are graded
    # BEGIN SOLUTION
    @tf.function
    def step():
        with tf.GradientTape() as tape:
            _, logits = net(features, matrix)  # [34, 2]
            loss = loss_fn(labels, tf.gather(logits, labelled))
        weights = net.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        return loss

    # END SOLUTION

    # Training
    # BEGIN SOLUTION
    losses = [step() for _ in range(inputs["steps"])]
    # END SOLUTION

    # Answers
    hidden, logits = net(features, matrix)  # [34, 4], [34, 2]

    # The same club, members renumbered: order[k] is now number k
    order = tf.constant(inputs["order"])  # [34]
    rank = tf.cast(tf.argsort(order), tf.int64)  # [34]: old number -> new
    new_matrix = average(tf.gather(rank, ties))
    _, renumbered = net(tf.gather(features, order), new_matrix)  # [34, 2]

    # Results
    results = {n: getattr(net, n).numpy() for n in names}
    results.update(
        {
            "operator": tf.sparse.to_dense(matrix).numpy(),  # [34, 34]
            "loss": np.array(losses),  # [40]
            "hidden": hidden.numpy(),  # [34, 4]
            "logits": logits.numpy(),  # [34, 2]
            "club": tf.argmax(logits, axis=1).numpy(),  # [34]
            "renumbered": renumbered.numpy(),  # [34, 2]
        }
    )
    return results
