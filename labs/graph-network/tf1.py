"""A graph network, define-and-run: a layer is a sparse matrix product."""

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


# Average: D^-1/2 (A + I) D^-1/2 as a sparse matrix, 34 + 2 * 78 entries
def average(ties):  # [78, 2]
    loops = tf.tile(tf.range(34, dtype=tf.int64)[:, None], [1, 2])  # [34, 2]
    pairs = tf.concat([loops, ties, ties[:, ::-1]], axis=0)  # [190, 2]
    ones = tf.SparseTensor(pairs, tf.ones([190]), [34, 34])
    friends = tf.sparse.reduce_sum(ones, axis=1)  # [34]
    shares = tf.rsqrt(tf.gather(friends, pairs))  # [190, 2]
    entries = shares[:, 0] * shares[:, 1]  # [190]
    return tf.sparse.reorder(tf.SparseTensor(pairs, entries, [34, 34]))


# Network: each layer averages over friends, so it needs the matrix
def net(x, matrix, weights):  # [34, 34], [34, 34]
    w1, b1, w2, b2 = weights
    mixed = tf.sparse.sparse_dense_matmul(matrix, tf.matmul(x, w1))
    hidden = tf.tanh(mixed + b1)  # [34, 4]
    mixed = tf.sparse.sparse_dense_matmul(matrix, tf.matmul(hidden, w2))
    return hidden, mixed + b2  # [34, 2]


def run(inputs, workdir):
    # Graph: a list of ties; we make the average of it
    features = tf.constant(inputs["features"])  # [34, 34]
    ties = tf.constant(inputs["ties"])  # [78, 2]
    matrix = average(ties)

    # First weights: matrices as [inputs, outputs]
    names = ["w1", "b1", "w2", "b2"]
    weights = [tf.Variable(inputs[n]) for n in names]

    # Loss and optimiser: only two members have a label
    # BEGIN SOLUTION
    hidden, logits = net(features, matrix, weights)  # [34, 4], [34, 2]
    loss = tf.losses.sparse_softmax_cross_entropy(
        inputs["labels"], tf.gather(logits, inputs["labelled"])
    )
    optimizer = tf.train.MomentumOptimizer(
        inputs["learning_rate"], inputs["momentum"]
    )
    train_op = optimizer.minimize(loss)
    # END SOLUTION

    # The same club, members renumbered: order[k] is now number k
    order = tf.constant(inputs["order"])  # [34]
    rank = tf.argsort(order)  # [34]: old number -> new number
    new_ties = tf.cast(tf.gather(rank, ties), tf.int64)  # [78, 2]
    _, renumbered = net(
        tf.gather(features, order), average(new_ties), weights
    )  # [34, 2]

    # One step: the whole graph goes in, two answers are graded
    # BEGIN SOLUTION
    def step():
        return sess.run([loss, train_op])[0]

    # END SOLUTION

    with tf.Session() as sess:
        # Training
        # BEGIN SOLUTION
        sess.run(tf.global_variables_initializer())
        losses = [step() for _ in range(inputs["steps"])]
        # END SOLUTION

        # Answers
        answers = {
            "operator": tf.sparse.to_dense(matrix),  # [34, 34]
            "hidden": hidden,  # [34, 4]
            "logits": logits,  # [34, 2]
            "club": tf.argmax(logits, axis=1),  # [34]
            "renumbered": renumbered,  # [34, 2]
        }
        results = sess.run(answers)
        results.update(zip(names, sess.run(weights)))

    # Results
    results["loss"] = np.array(losses)  # [40]
    return results
