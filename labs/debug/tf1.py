"""Debugging, define-and-run: prints and checks are nodes of the graph."""

import os
import re
import sys

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def log(z):  # [8, 1]
    return tf.log(z)


def length(z):  # [8, 1]
    squares = tf.square(tf.nn.relu(z))
    return tf.sqrt(tf.reduce_sum(squares, axis=1, keepdims=True))


# Printed lines: what reaches the process's standard error, from Python or C++
def capture(path, action):
    sys.stderr.flush()
    keep, file = os.dup(2), os.open(str(path), os.O_CREAT | os.O_WRONLY)
    os.dup2(file, 2)
    try:
        action()
    finally:
        sys.stderr.flush()
        os.dup2(keep, 2)
    return path.read_text().splitlines()


def dense(layer, units, weights, bias, activation=None):
    return tf.layers.dense(
        layer,
        units,
        activation=activation,
        kernel_initializer=tf.constant_initializer(weights),
        bias_initializer=tf.constant_initializer(bias),
    )


# Watching: hidden activations, their gradients, dead units
# BEGIN SOLUTION
def watch(inputs, losses, hidden, gradients, dead):
    step = tf.placeholder(tf.int32, shape=[])
    x = tf.placeholder(tf.float32, shape=[8, 10])
    y = tf.placeholder(tf.float32, shape=[8, 1])
    fc1 = dense(x, 20, inputs["w1"], inputs["b1"], tf.nn.relu)  # [8, 20]

    count = tf.reduce_sum(
        tf.cast(tf.reduce_all(tf.equal(fc1, 0), axis=0), tf.int64)
    )
    first = tf.cast(tf.round(1024 * fc1[0, :3]), tf.int32)
    tf.Print(fc1, [step], message="unused: ")  # the guide's way: a dead end
    fc1 = tf.Print(fc1, [step, count, first], message="fc1: ")

    fc2 = dense(fc1, 1, inputs["w2"], inputs["b2"])  # [8, 1]
    loss = tf.losses.mean_squared_error(y, fc2)
    optimizer = tf.train.GradientDescentOptimizer(inputs["learning_rate"])
    fetches = [loss, fc1, tf.gradients(loss, fc1)[0], count]
    # Else the update may change the weights under the gradient's feet
    with tf.control_dependencies(fetches):
        train_op = optimizer.minimize(loss)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for i, (xb, yb) in enumerate(zip(inputs["x"], inputs["y"])):
            feed = {step: i, x: xb, y: yb}
            values, _ = sess.run([fetches, train_op], feed_dict=feed)
            for seen, value in zip([losses, hidden, gradients, dead], values):
                seen.append(value)


# END SOLUTION


# Detecting: a check behind every operation of the graph, gradients included
# BEGIN SOLUTION
def detect(inputs, head):
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        x = tf.placeholder(tf.float32, shape=[8, 10])
        y = tf.placeholder(tf.float32, shape=[8, 1])
        z = dense(x, 1, inputs["v"], inputs["c"])  # [8, 1]
        loss = tf.losses.mean_squared_error(y, head(z))
        optimizer = tf.train.GradientDescentOptimizer(inputs["learning_rate"])
        gradients = optimizer.compute_gradients(loss)
        check_op = tf.add_check_numerics_ops()
        with tf.control_dependencies([check_op]):  # no update before
            train_op = optimizer.apply_gradients(gradients)
        sess.run(tf.global_variables_initializer())
        batches = zip(inputs["x_fault"], inputs["y_fault"])
        for step, (xb, yb) in enumerate(batches):
            feed = {x: xb, y: yb}
            value = sess.run(loss, feed_dict=feed)  # no check, no update
            try:
                sess.run(train_op, feed_dict=feed)
            except tf.errors.InvalidArgumentError as fault:
                name = re.search(r"(\S+):\d+ : Tensor had", str(fault))
                operation = graph.get_operation_by_name(name.group(1))
                return step, operation.type, value
    return None  # no fault was found


# END SOLUTION


def run(inputs, workdir):
    losses, hidden, gradients, dead = [], [], [], []
    lines = capture(
        workdir / "printed.txt",
        lambda: watch(inputs, losses, hidden, gradients, dead),
    )
    forward_step, forward_operation, _ = detect(inputs, log)
    backward_step, backward_operation, backward_loss = detect(inputs, length)

    # Results
    return {
        "loss": np.array(losses),  # [6]
        "hidden": np.array(hidden),  # [6, 8, 20]
        "hidden_gradient": np.array(gradients),  # [6, 8, 20]
        "dead": np.array(dead),  # [6]
        "printed": "\n".join(s for s in lines if s.startswith("fc1:")),
        "unused": sum(s.startswith("unused:") for s in lines),
        "forward_step": forward_step,
        "forward_operation": forward_operation,
        "backward_step": backward_step,
        "backward_loss": np.array(backward_loss),  # []
        "backward_operation": backward_operation,
    }
