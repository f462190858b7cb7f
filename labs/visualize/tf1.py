"""Visualising, define-and-run: summaries are nodes, fetched like others."""

import numpy as np
import tensorflow.compat.v1 as tf
from tensorboard.backend.event_processing import event_accumulator

tf.disable_v2_behavior()

TAGS = ["fc1_output", "fc2_output"]


def dense(layer, weights, bias, name, activation=None):
    return tf.layers.dense(
        layer,
        len(bias),
        activation=activation,
        kernel_initializer=tf.constant_initializer(weights),
        bias_initializer=tf.constant_initializer(bias),
        name=name,
    )


# Summary: the graph lists its variables, by the names of their layers
def summarise():
    lines, shapes, total = [], [], 0
    variables = tf.trainable_variables()
    for kernel, bias in zip(variables[::2], variables[1::2]):
        name, shape = kernel.op.name.split("/")[0], kernel.shape.as_list()
        shapes.append(shape)
        size = kernel.shape.num_elements() + bias.shape.num_elements()
        lines.append("%s: %d -> %d, %d parameters" % (name, *shape, size))
        total += size
    lines.append("total: %d parameters" % total)
    return "\n".join(lines), total, np.array(shapes)


# Writing: one more fetch, while training
# BEGIN SOLUTION
def write(inputs, folder):
    x = tf.placeholder(tf.float32, shape=[None, 10])
    y = tf.placeholder(tf.float32, shape=[None, 1])
    fc1 = dense(x, inputs["w1"], inputs["b1"], "fc1", tf.nn.relu)  # [n, 20]
    fc2 = dense(fc1, inputs["w2"], inputs["b2"], "fc2")  # [n, 1]
    loss = tf.losses.mean_squared_error(y, fc2)
    optimizer = tf.train.GradientDescentOptimizer(inputs["learning_rate"])
    train_op = optimizer.minimize(loss)
    tf.summary.scalar("loss", loss)
    tf.summary.histogram("fc1_output", fc1)
    tf.summary.histogram("fc2_output", fc2)
    summary_op = tf.summary.merge_all()
    with tf.Session() as sess:
        writer = tf.summary.FileWriter(folder, sess.graph)
        sess.run(tf.global_variables_initializer())
        for step, (xb, yb) in enumerate(zip(inputs["x"], inputs["y"])):
            feed = {x: xb, y: yb}
            writer.add_summary(sess.run(summary_op, feed), global_step=step)
            sess.run(train_op, feed)
        writer.close()


# END SOLUTION


# Reading: event by event, with TensorBoard's reader
# BEGIN SOLUTION
def read(folder):
    keep = {"scalars": 0, "histograms": 0}  # 0: all of them
    reader = event_accumulator.EventAccumulator(folder, keep).Reload()
    kinds = [k for k, tags in sorted(reader.Tags().items()) if tags]
    scalars = reader.Scalars("loss")
    columns = zip(*[reader.Histograms(tag) for tag in TAGS])
    stats = [
        [[v.num, v.min, v.max] for v in (e.histogram_value for e in events)]
        for events in columns
    ]  # [8, 2, 3]
    nodes = [
        (node.op, node.attr["_output_shapes"].list.shape[0].dim[-1].size)
        for node in reader.Graph().node
        if node.op in ("MatMul", "Relu") and "gradients" not in node.name
    ]
    kinds = [k for k in kinds if k in ("histograms", "scalars", "tensors")]
    return kinds, scalars, np.array(stats), nodes


# END SOLUTION


def run(inputs, workdir):
    write(inputs, str(workdir / "logs"))
    summary, parameters, shapes = summarise()
    kinds, scalars, stats, nodes = read(str(workdir / "logs"))

    # Results
    return {
        "summary": summary,
        "parameters": parameters,
        "layer_shapes": shapes,  # [2, 2]
        "steps": np.array([e.step for e in scalars]),  # [8]
        "loss": np.array([e.value for e in scalars], np.float32),  # [8]
        "histogram_count": stats[:, :, 0].astype(np.int64),  # [8, 2]
        "histogram_min": stats[:, :, 1].astype(np.float32),  # [8, 2]
        "histogram_max": stats[:, :, 2].astype(np.float32),  # [8, 2]
        "stored_as": " ".join(kinds),
        "graph_operations": " ".join(op for op, _ in nodes),
        "graph_widths": np.array([width for _, width in nodes]),  # [3]
    }
