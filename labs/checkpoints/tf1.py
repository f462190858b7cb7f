"""Read checkpoints of three TensorFlow versions, into a graph."""

import os

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


# Network: needed where a file holds only numbers
# BEGIN SOLUTION
def build():
    x = tf.placeholder(tf.float32, [None, 10], name="x")
    shapes = {"w1": (10, 20), "b1": (20,), "w2": (20, 1), "b2": (1,)}
    v = {
        name: tf.get_variable(name, shape, use_resource=True)
        for name, shape in shapes.items()
    }
    h = tf.nn.relu(tf.matmul(x, v["w1"]) + v["b1"])  # [n, 20]
    tf.add(tf.matmul(h, v["w2"]), v["b2"], name="p")  # [n, 1]
    return v


# END SOLUTION


# Ways to read: each fills the session's graph
def named(path, sess):
    tf.train.Saver(build()).restore(sess, path)


def objects(path, sess):
    tf.train.Checkpoint(**build()).restore(path).run_restore_ops(sess)


def strict(path, sess):
    status = tf.train.Checkpoint(**build()).restore(path)
    status.assert_consumed().run_restore_ops(sess)


def graph(path, sess):
    tf.train.import_meta_graph(path + ".meta").restore(sess, path)


WAYS = {"named": named, "objects": objects, "strict": strict, "graph": graph}


# Rules: "any", "never", ">=2.4", "<2.6"
def allows(rule, version):
    if rule in ("any", "never"):
        return rule == "any"
    here = [int(n) for n in version.split("+")[0].split(".")[:2]]
    there = [int(n) for n in rule.strip("<>=").split(".")]
    return here < there if rule[0] == "<" else here >= there


# Weights: one vector, matrices as [inputs, outputs]
# BEGIN SOLUTION
def answers(way, path, inputs):
    with tf.Graph().as_default(), tf.Session() as sess:
        if way == "keras":
            tf.keras.backend.set_session(sess)
            net = tf.keras.models.load_model(path, compile=False)
            parts, predictions = net.get_weights(), net.predict(inputs["x"])
        else:
            WAYS[way](path, sess)
            parts = sess.run(tf.trainable_variables())
            predictions = sess.run("p:0", {"x:0": inputs["x"]})  # [4, 1]
    return np.concatenate([p.ravel() for p in parts]), predictions.ravel()


# END SOLUTION


def run(inputs, workdir):
    # Files: bytes become files again
    for name, data in inputs.items():
        if "/" in name:
            path = os.path.join(str(workdir), name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            data.tofile(path)

    # Readable everywhere: weights and predictions of each
    found = []
    for line in inputs["tf1_reads"].split("\n")[1:-1]:
        way, name = line.split()
        found.append(answers(way, os.path.join(str(workdir), name), inputs))

    # Limited: what really happens, held against the rule
    names = ("w1", "b1", "w2", "b2")
    known = np.concatenate([inputs[n].ravel() for n in names])  # [241]
    predicted, story = [], []
    for line in inputs["tf1_rules"].split("\n")[1:-1]:
        way, name, rule, error = line.split()
        try:
            flat, _ = answers(way, os.path.join(str(workdir), name), inputs)
            seen = "read" if np.array_equal(flat, known) else "other numbers"
        except Exception as fault:
            seen = type(fault).__name__
        right = "read" if allows(rule, tf.__version__) else error
        predicted.append(seen == right)
        story.append("%s %s: %s" % (way, name, seen))

    # Results
    return {
        "weights": np.array([flat for flat, _ in found]),  # [8, 241]
        "predictions": np.array([p for _, p in found]),  # [8, 4]
        "as_predicted": np.array(predicted),  # [5]
        "story": "\n".join(["tensorflow " + tf.__version__, *story]),
    }
