"""Control flow, traced: AutoGraph turns Python's while and if into nodes."""

import numpy as np
import tensorflow as tf

STEPS = []  # one entry each time Python comes through the loop body


# Loop and branch: written as Python, translated once into while and cond
# BEGIN SOLUTION
@tf.function
def forward(x, a, p, q, limit):  # [4], [4, 4], [4], [4]
    h, count = x, tf.constant(0, tf.int64)
    while tf.reduce_sum(h * h) > limit:
        STEPS.append(count)
        h, count = tf.linalg.matvec(a, h, transpose_a=True), count + 1  # [4]
    if tf.reduce_sum(h) > 0:
        first, y = tf.constant(1, tf.int64), tf.reduce_sum(p * h)
    else:
        first, y = tf.constant(0, tf.int64), -2 * tf.reduce_sum(q * h)
    return count, first, y


# END SOLUTION


# Tree: a traced function cannot recurse on data; a loop, children first
# BEGIN SOLUTION
@tf.function
def embed(leaves, left, right, w_left, w_right):
    size = tf.shape(leaves)[0] + tf.shape(left)[0]
    values = tf.TensorArray(tf.float32, size, clear_after_read=False)
    depths = tf.TensorArray(tf.int64, size, clear_after_read=False)
    values = values.scatter(tf.range(tf.shape(leaves)[0]), leaves)
    depths = depths.scatter(
        tf.range(tf.shape(leaves)[0]), tf.zeros_like(leaves[:, 0], tf.int64)
    )
    for node in tf.range(tf.shape(leaves)[0], size):
        joint = node - tf.shape(leaves)[0]
        u, v = values.read(left[joint]), values.read(right[joint])
        z = u[None] @ w_left + v[None] @ w_right  # [1, 4]
        deep = tf.maximum(depths.read(left[joint]), depths.read(right[joint]))
        values = values.write(node, tf.nn.softsign(z)[0])
        depths = depths.write(node, 1 + deep)
    return values.read(size - 1), depths.read(size - 1)  # [4], []


# END SOLUTION


def run(inputs, workdir):
    # Weights
    a, p, q, w_left, w_right, leaves, s = (
        tf.Variable(inputs[name])
        for name in ("a", "p", "q", "w_left", "w_right", "leaves", "s")
    )

    # Rows: both branches are in the graph, so both have a gradient
    rows = []
    for x in tf.constant(inputs["x"]):
        with tf.GradientTape() as tape:
            count, first, y = forward(x, a, p, q, inputs["limit"])
        gradients = tape.gradient(y, [a, p, q], unconnected_gradients="zero")
        rows.append([count, first, y, *gradients])

    # Trees
    trees = []
    left = tf.constant(inputs["left"], tf.int32)  # [3, 5]
    right = tf.constant(inputs["right"], tf.int32)  # [3, 5]
    for ls, rs in zip(left, right):
        with tf.GradientTape() as tape:
            v, depth = embed(leaves, ls, rs, w_left, w_right)
            score = tf.reduce_sum(s * v)
        trees.append([score, depth, *tape.gradient(score, [w_left, w_right])])

    # Results
    columns = [np.array(c) for c in zip(*rows)]
    iterations, first, y, in_a, in_p, in_q = columns
    score, depth, in_left, in_right = (np.array(c) for c in zip(*trees))
    idle = np.where(first[:, None], in_q, in_p)  # [6, 4]
    return {
        "iterations": iterations,  # [6]
        "first_branch": first,  # [6]
        "y": y,  # [6]
        "gradient_a": in_a,  # [6, 4, 4]
        "gradient_p": in_p,  # [6, 4]
        "gradient_q": in_q,  # [6, 4]
        "python_steps": len(STEPS),
        "not_taken": "numbers" if idle.any() else "zeros",
        "score": score,  # [3]
        "depth": depth,  # [3]
        "gradient_left": in_left,  # [3, 4, 4]
        "gradient_right": in_right,  # [3, 4, 4]
    }
