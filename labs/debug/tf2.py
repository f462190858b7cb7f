"""Debugging, eager and traced: tf.print and checks survive the tracing."""

import os
import re
import sys

import numpy as np
import tensorflow as tf


def log(z):  # [8, 1]
    return tf.math.log(z)


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


def descend(rate, variables, gradients):
    for variable, gradient in zip(variables, gradients):
        variable.assign_sub(rate * gradient)


# Watching: hidden activations, their gradients, dead units
# BEGIN SOLUTION
def watch(inputs, losses, hidden, gradients, dead):
    names = ["w1", "b1", "w2", "b2"]
    weights = [tf.Variable(inputs[name]) for name in names]
    w1, b1, w2, b2 = weights  # [10, 20], [20], [20, 1], [1]

    @tf.function
    def train(step, x, y):
        with tf.GradientTape() as tape:
            fc1 = tf.nn.relu(x @ w1 + b1)  # [8, 20]
            loss = tf.reduce_mean(tf.square(fc1 @ w2 + b2 - y))
        count = tf.reduce_sum(
            tf.cast(tf.reduce_all(tf.equal(fc1, 0), axis=0), tf.int64)
        )
        first = tf.cast(tf.round(1024 * fc1[0, :3]), tf.int32)
        tf.print("unused:", step)  # kept: side effects stay in a trace
        tf.print("fc1:", step, count, first)
        gradient, *rest = tape.gradient(loss, [fc1, *weights])
        descend(inputs["learning_rate"], weights, rest)
        return loss, fc1, gradient, count

    for i, (xb, yb) in enumerate(zip(inputs["x"], inputs["y"])):
        values = train(tf.constant(i), tf.constant(xb), tf.constant(yb))
        for seen, value in zip([losses, hidden, gradients, dead], values):
            seen.append(value.numpy())


# END SOLUTION


# Detecting: a check behind every operation that runs, gradients included
# BEGIN SOLUTION
def detect(inputs, head):
    v, c = tf.Variable(inputs["v"]), tf.Variable(inputs["c"])  # [10, 1], [1]

    def loss_of(x, y):
        return tf.reduce_mean(tf.square(head(x @ v + c) - y))

    @tf.function
    def train(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(x, y)
        descend(inputs["learning_rate"], [v, c], tape.gradient(loss, [v, c]))

    xs, ys = tf.constant(inputs["x_fault"]), tf.constant(inputs["y_fault"])
    loss = None
    tf.debugging.enable_check_numerics()
    for step, (x, y) in enumerate(zip(xs, ys)):
        try:
            loss = loss_of(x, y)  # eager, and checked as well
            train(x, y)
        except tf.errors.InvalidArgumentError as fault:
            tf.debugging.disable_check_numerics()
            operation = re.search(r'op "(\w+)"', str(fault))
            return step, operation.group(1), loss.numpy()
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
