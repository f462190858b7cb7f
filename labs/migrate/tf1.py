"""Migrate, TensorFlow 1 style: the compat layer, and the upgrade script."""

import io
import re

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.tools.compatibility import ast_edits, tf_upgrade_v2

tf.disable_v2_behavior()

# The compat layer: the whole old interface under another name
OLD_IMPORT = "import tensorflow as tf"
NEW_IMPORT = "import tensorflow.compat.v1 as tf"
NOTED = re.compile(r"(\d+):\d+: \w+: (Renamed .*|Changed .*|.* manual check)")


# Run: a program of text, in a graph of its own
def execute(program, inputs):
    namespace = {}
    exec(compile(program, "program.py", "exec"), namespace)  # noqa: S102
    names = ["x", "y", "w1", "b1", "w2", "b2"]
    x, y, *weights = [inputs[name] for name in names]
    with tf.Graph().as_default():
        return namespace["train"](x, y, weights, inputs["learning_rate"])


# Outcome: what the library of today says of a program
def outcome(program, inputs):
    try:
        execute(program, inputs)
    except Exception as fault:
        return "{}: {}".format(type(fault).__name__, fault)
    return "runs"


# Upgrade: TensorFlow's script; what it notes is put in order. Left out is
# "Added keywords": TensorFlow 1.15 names more arguments than it must.
def upgrade(program):
    script = ast_edits.ASTCodeUpgrader(tf_upgrade_v2.TFAPIChangeSpec())
    text = io.StringIO()
    _, log, _ = script.process_opened_file(
        "old.py", io.StringIO(program), "new.py", text
    )
    notes = {(int(line), note) for line, note in NOTED.findall(log)}
    report = ["{}: {}".format(line, note) for line, note in sorted(notes)]
    return text.getvalue(), "\n".join(report)


def run(inputs, workdir):
    # The original on today's library: was it known when it would fail?
    original = inputs["tensorflow_program"]
    version = [int(part) for part in tf.__version__.split(".")[:2]]
    limit = [int(part) for part in inputs["tensorflow_fails_from"].split(".")]
    predicted = "AttributeError" if version >= limit else "runs"
    found = outcome(original, inputs)

    # Carried over: one line, the import
    # BEGIN SOLUTION
    program = original.replace(OLD_IMPORT, NEW_IMPORT)
    alone = outcome(program, inputs)
    loss, output, spread = execute(program, inputs)
    # END SOLUTION

    # Renewed: by the script; still a graph and a session
    # BEGIN SOLUTION
    program, changes = upgrade(original)
    new_loss, new_output, new_spread = execute(program, inputs)
    # END SOLUTION

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
