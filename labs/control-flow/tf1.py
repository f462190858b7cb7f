"""Control flow, define-and-run: the loop and both branches are nodes."""

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

STEPS = []  # one entry each time Python comes through the loop body


# Loop and branch: one graph for every row, with a while and a cond in it
# BEGIN SOLUTION
def forward(x, a, p, q, limit):  # [4], [4, 4], [4], [4]
    def turn(count, h):
        STEPS.append(count)
        return count + 1, tf.linalg.matvec(a, h, transpose_a=True)  # [4]

    count, h = tf.while_loop(
        lambda _, h: tf.reduce_sum(h * h) > limit,
        turn,
        (tf.constant(0, tf.int64), x),
    )
    first = tf.reduce_sum(h) > 0
    y = tf.cond(
        first,
        lambda: tf.reduce_sum(p * h),
        lambda: -2 * tf.reduce_sum(q * h),
    )
    return count, tf.cast(first, tf.int64), y


# END SOLUTION


# Tree: no recursion in a graph; a loop over the joints, children first
# BEGIN SOLUTION
def embed(leaves, left, right, w_left, w_right):
    size = tf.shape(leaves)[0] + tf.shape(left)[0]
    values = tf.TensorArray(tf.float32, size, clear_after_read=False)
    depths = tf.TensorArray(tf.int64, size, clear_after_read=False)
    values = values.scatter(tf.range(tf.shape(leaves)[0]), leaves)
    depths = depths.scatter(
        tf.range(tf.shape(leaves)[0]), tf.zeros_like(leaves[:, 0], tf.int64)
    )

    def join(node, values, depths):
        joint = node - tf.shape(leaves)[0]
        u, v = values.read(left[joint]), values.read(right[joint])
        z = tf.matmul([u], w_left) + tf.matmul([v], w_right)  # [1, 4]
        deep = tf.maximum(depths.read(left[joint]), depths.read(right[joint]))
        values = values.write(node, tf.nn.softsign(z)[0])
        return node + 1, values, depths.write(node, 1 + deep)

    _, values, depths = tf.while_loop(
        lambda node, *_: node < size,
        join,
        [tf.shape(leaves)[0], values, depths],
    )
    return values.read(size - 1), depths.read(size - 1)  # [4], []


# END SOLUTION


def run(inputs, workdir):
    # Weights
    a, p, q, w_left, w_right, leaves, s = (
        tf.constant(inputs[name])
        for name in ("a", "p", "q", "w_left", "w_right", "leaves", "s")
    )

    # Rows: both branches are in the graph, so both have a gradient
    x = tf.placeholder(tf.float32, shape=[4])
    count, first, y = forward(x, a, p, q, inputs["limit"])
    row = [count, first, y, *tf.gradients(y, [a, p, q])]

    # Trees
    left = tf.placeholder(tf.int32, shape=[None])
    right = tf.placeholder(tf.int32, shape=[None])
    v, depth = embed(leaves, left, right, w_left, w_right)
    score = tf.reduce_sum(s * v)
    tree = [score, depth, *tf.gradients(score, [w_left, w_right])]

    with tf.Session() as sess:
        rows = [sess.run(row, feed_dict={x: xs}) for xs in inputs["x"]]
        trees = [
            sess.run(tree, feed_dict={left: ls, right: rs})
            for ls, rs in zip(inputs["left"], inputs["right"])
        ]

    # Results
    iterations, first, y, in_a, in_p, in_q = map(np.array, zip(*rows))
    score, depth, in_left, in_right = map(np.array, zip(*trees))
    idle = np.where(first[:, None], in_q, in_p)  # [6, 4]
    return {
        "iterations": iterations,  # [6]
        "first_branch": first,  # [6]
        "y": y,  # [6]
        "gradient_a": in_a,  # [6, 4, 4]
        "gradient_p": in_p + 0,  # [6, 4]
        "gradient_q": in_q + 0,  # [6, 4]
        "python_steps": len(STEPS),
        "not_taken": "numbers" if idle.any() else "zeros",
        "score": score,  # [3]
        "depth": depth,  # [3]
        "gradient_left": in_left,  # [3, 4, 4]
        "gradient_right": in_right,  # [3, 4, 4]
    }
