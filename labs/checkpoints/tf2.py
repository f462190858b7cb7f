"""Read checkpoints of three TensorFlow versions, into eager variables."""

import os

import numpy as np
import tensorflow as tf


# Network: needed where a file holds only numbers
# BEGIN SOLUTION
def build():
    shapes = {"w1": (10, 20), "b1": (20,), "w2": (20, 1), "b2": (1,)}
    return {n: tf.Variable(tf.zeros(s), name=n) for n, s in shapes.items()}


# END SOLUTION


def predict(v, x):  # [n, 10]
    h = tf.nn.relu(x @ v["w1"] + v["b1"])  # [n, 20]
    return h @ v["w2"] + v["b2"]  # [n, 1]


# Ways to read: each returns named weights
def objects(path):
    variables = build()
    tf.train.Checkpoint(**variables).restore(path).expect_partial()
    return variables


def strict(path):
    variables = build()
    tf.train.Checkpoint(**variables).restore(path).assert_consumed()
    return variables


def raw(path):
    reader = tf.train.load_checkpoint(path)
    return {name: reader.get_tensor(name) for name in build()}


def keras(path):
    net = tf.keras.models.load_model(path, compile=False)
    return dict(zip(build(), net.trainable_variables))


WAYS = {"objects": objects, "strict": strict, "raw": raw, "keras": keras}


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
    values = WAYS[way](path)
    parts = [np.array(value).ravel() for value in values.values()]
    predictions = predict(values, tf.constant(inputs["x"]))  # [4, 1]
    return np.concatenate(parts), predictions.numpy().ravel()


# END SOLUTION


def run(inputs, workdir):
    # Files: bytes become files again
    for name, data in inputs.items():
        if "/" in name:
            path = os.path.join(workdir, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            data.tofile(path)

    # Readable everywhere: weights and predictions of each
    found = []
    for line in inputs["tf2_reads"].split("\n")[1:-1]:
        way, name = line.split()
        found.append(answers(way, os.path.join(workdir, name), inputs))

    # Limited: what really happens, held against the rule
    names = ("w1", "b1", "w2", "b2")
    known = np.concatenate([inputs[n].ravel() for n in names])  # [241]
    predicted, story = [], []
    for line in inputs["tf2_rules"].split("\n")[1:-1]:
        way, name, rule, error = line.split()
        try:
            flat, _ = answers(way, os.path.join(workdir, name), inputs)
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
