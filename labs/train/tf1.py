"""Training, define-and-run: a graph first, then a session that runs it."""

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def run(inputs, workdir):
    # Data: fed batch by batch, so the graph knows only its shape
    x = tf.placeholder(tf.float32, shape=[None, 10])
    y = tf.placeholder(tf.float32, shape=[None, 1])
    test = {x: inputs["x_test"], y: inputs["y_test"]}  # [90, 10], [90, 1]

    # Network
    def dense(layer, units, weights, bias, activation=None):
        return tf.layers.dense(
            layer,
            units,
            activation=activation,
            kernel_initializer=tf.constant_initializer(weights),
            bias_initializer=tf.constant_initializer(bias),
        )

    # First weights: a dense layer keeps its matrix as [inputs, outputs]
    fc1 = dense(x, 20, inputs["w1"], inputs["b1"], tf.nn.relu)  # [n, 20]
    fc2 = dense(fc1, 1, inputs["w2"], inputs["b2"])  # [n, 1]

    # Loss and optimiser
    # BEGIN SOLUTION
    loss = tf.losses.mean_squared_error(y, fc2)
    optimizer = tf.train.GradientDescentOptimizer(inputs["learning_rate"])
    train_op = optimizer.minimize(loss)
    # END SOLUTION

    # One step: the loss belongs to the weights before the update, because
    # the update needs all that the loss is made of
    # BEGIN SOLUTION
    def step(xb, yb):  # [32, 10], [32, 1]
        return sess.run([loss, train_op], feed_dict={x: xb, y: yb})[0]

    # END SOLUTION

    # Training
    with tf.Session() as sess:
        # BEGIN SOLUTION
        sess.run(tf.global_variables_initializer())
        losses = [
            step(inputs["x"][rows], inputs["y"][rows])
            for rows in inputs["batches"]  # [176, 32]
        ]
        # END SOLUTION

        # Test: no train_op in this run, so nothing moves
        # BEGIN SOLUTION
        predictions, test_loss = sess.run([fc2, loss], feed_dict=test)
        w1, b1, w2, b2 = sess.run(tf.trainable_variables())
        # END SOLUTION

    # Results
    return {
        "loss": np.array(losses),  # [176]
        "w1": w1,  # [10, 20]
        "b1": b1,  # [20]
        "w2": w2,  # [20, 1]
        "b2": b2,  # [1]
        "predictions": predictions,  # [90, 1]
        "test_loss": np.array(test_loss),  # []
    }
