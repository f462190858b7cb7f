"""Migrate, TensorFlow 2: the upgrade script, then the program anew."""

import io
import re

import numpy as np
import tensorflow as tf
from tensorflow.tools.compatibility import ast_edits, tf_upgrade_v2

NOTED = re.compile(r"(\d+):\d+: \w+: (Renamed .*|Changed .*|.* manual check)")


# Run: a program of text
def execute(program, inputs):
    namespace = {}
    exec(compile(program, "program.py", "exec"), namespace)  # noqa: S102
    names = ["x", "y", "w1", "b1", "w2", "b2"]
    x, y, *weights = [inputs[name] for name in names]
    return namespace["train"](x, y, weights, inputs["learning_rate"])


# Outcome: what the library of today says of a program
def outcome(program, inputs):
    try:
        execute(program, inputs)
    except Exception as fault:
        return "{}: {}".format(type(fault).__name__, fault)
    return "runs"


# Upgrade: TensorFlow's script; what it notes is put in order
def upgrade(program):
    script = ast_edits.ASTCodeUpgrader(tf_upgrade_v2.TFAPIChangeSpec())
    text = io.StringIO()
    _, log, _ = script.process_opened_file(
        "old.py", io.StringIO(program), "new.py", text
    )
    notes = {(int(line), note) for line, note in NOTED.findall(log)}
    report = ["{}: {}".format(line, note) for line, note in sorted(notes)]
    return text.getvalue(), "\n".join(report)


# Renewed: the same program as one writes it today
# BEGIN SOLUTION
def renewed(inputs):
    x, y = tf.constant(inputs["x"]), tf.constant(inputs["y"])
    w1, b1, w2, b2 = parameters = [
        tf.Variable(inputs[name]) for name in ("w1", "b1", "w2", "b2")
    ]
    optimizer = tf.keras.optimizers.SGD(inputs["learning_rate"])

    def forward():
        hidden = tf.tanh(x @ w1 + b1)  # [64, 20]
        return hidden, hidden @ w2 + b2  # [64, 1]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(tf.square(forward()[1] - y))
            loss = error + inputs["decay"] * tf.reduce_sum(tf.square(w1))
        slopes = tape.gradient(loss, parameters)
        optimizer.apply_gradients(zip(slopes, parameters))
        return loss

    losses = [step() for _ in range(inputs["steps"])]
    hidden, output = forward()
    highest = tf.reduce_max(hidden, axis=1, keepdims=True)
    return losses, output.numpy(), tf.math.log(highest + 2).numpy()


# END SOLUTION


def run(inputs, workdir):
    # The original on today's library: was it known when it would fail?
    original = inputs["tensorflow_program"]
    version = [int(part) for part in tf.__version__.split(".")[:2]]
    limit = [int(part) for part in inputs["tensorflow_fails_from"].split(".")]
    predicted = "AttributeError" if version >= limit else "runs"
    found = outcome(original, inputs)

    # Carried over: by the script, in a graph, without which it fails
    # BEGIN SOLUTION
    program, changes = upgrade(original)
    alone = outcome(program, inputs)
    with tf.Graph().as_default():
        loss, output, spread = execute(program, inputs)
    # END SOLUTION

    # Renewed
    new_loss, new_output, new_spread = renewed(inputs)

    # Results
    return {
        "original": "as predicted" if found.startswith(predicted) else found,
        "changes": changes,
        "alone": alone,
        "carried_loss": np.array(loss),  # [40]
        "carried_output": output,  # [64, 1]
        "carried_spread": spread,  # [64, 1]
        "renewed_loss": np.array(new_loss),  # [40]
        "renewed_output": new_output,  # [64, 1]
        "renewed_spread": new_spread,  # [64, 1]
    }
