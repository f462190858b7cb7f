"""Visualising, eager and traced: summaries are calls, in eager code."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util

TAGS = ["fc1_output", "fc2_output"]


def build(inputs):
    fc1 = tf.keras.layers.Dense(20, activation="relu", name="fc1")  # [n, 20]
    fc2 = tf.keras.layers.Dense(1, name="fc2")  # [n, 1]
    net = tf.keras.Sequential([tf.keras.Input((10,)), fc1, fc2])
    net.set_weights([inputs[name] for name in ("w1", "b1", "w2", "b2")])
    return net


# Summary: a Keras model has the method; its table changes with the version
def summarise(net):
    net.summary(print_fn=lambda *args, **_: print(*args))
    lines, shapes = [], []
    for layer in net.layers:
        shapes.append(list(layer.kernel.shape))
        size = layer.count_params()
        lines.append(
            "%s: %d -> %d, %d parameters" % (layer.name, *shapes[-1], size)
        )
    lines.append("total: %d parameters" % net.count_params())
    return "\n".join(lines), net.count_params(), np.array(shapes)


# Writing: a line per number, while training
# BEGIN SOLUTION
def write(inputs, net, folder):
    fc1_layer, fc2_layer = net.layers
    weights, rate = net.trainable_variables, inputs["learning_rate"]
    graph = tf.function(net.__call__).get_concrete_function(
        tf.TensorSpec([None, 10], tf.float32)
    )
    xs, ys = tf.constant(inputs["x"]), tf.constant(inputs["y"])
    with tf.summary.create_file_writer(folder).as_default() as writer:
        tf.summary.graph(graph.graph)
        for step, (x, y) in enumerate(zip(xs, ys)):
            with tf.GradientTape() as tape:
                fc1 = fc1_layer(x)
                fc2 = fc2_layer(fc1)
                loss = tf.reduce_mean(tf.square(fc2 - y))
            tf.summary.scalar("loss", loss, step)
            tf.summary.histogram("fc1_output", fc1, step)
            tf.summary.histogram("fc2_output", fc2, step)
            for w, gradient in zip(weights, tape.gradient(loss, weights)):
                w.assign_sub(rate * gradient)
        writer.close()


# END SOLUTION


# Reading: event by event, with TensorBoard's reader
# BEGIN SOLUTION
def read(folder):
    keep = {"tensors": 0}  # 0: all of them
    reader = event_accumulator.EventAccumulator(folder, keep).Reload()
    kinds = [k for k, tags in sorted(reader.Tags().items()) if tags]
    scalars = reader.Tensors("loss")
    columns = zip(*[reader.Tensors(tag) for tag in TAGS])
    buckets = [  # rows of a bucket: left edge, right edge, count
        [tensor_util.make_ndarray(e.tensor_proto) for e in events]
        for events in columns
    ]
    stats = [
        [[b[:, 2].sum(), b[0, 0], b[-1, 1]] for b in row] for row in buckets
    ]  # [8, 2, 3]
    nodes = [
        (node.op, node.attr["_output_shapes"].list.shape[0].dim[-1].size)
        for node in reader.Graph().node
        if node.op in ("MatMul", "Relu")
    ]
    kinds = [k for k in kinds if k in ("histograms", "scalars", "tensors")]
    return kinds, scalars, np.array(stats), nodes


# END SOLUTION


def run(inputs, workdir):
    net = build(inputs)
    write(inputs, net, str(workdir / "logs"))
    summary, parameters, shapes = summarise(net)
    kinds, scalars, stats, nodes = read(str(workdir / "logs"))

    # Results
    losses = [tensor_util.make_ndarray(e.tensor_proto) for e in scalars]
    return {
        "summary": summary,
        "parameters": parameters,
        "layer_shapes": shapes,  # [2, 2]
        "steps": np.array([e.step for e in scalars]),  # [8]
        "loss": np.array(losses),  # [8]
        "histogram_count": stats[:, :, 0].astype(np.int64),  # [8, 2]
        "histogram_min": stats[:, :, 1].astype(np.float32),  # [8, 2]
        "histogram_max": stats[:, :, 2].astype(np.float32),  # [8, 2]
        "stored_as": " ".join(kinds),
        "graph_operations": " ".join(op for op, _ in nodes),
        "graph_widths": np.array([width for _, width in nodes]),  # [3]
    }
