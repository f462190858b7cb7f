"""What became of the guide's TensorFlow: each call, under compat.v1."""

import logging
import re
import warnings

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

PROBES = {
    "placeholder": """
        tf.placeholder(tf.float32, shape=[None, 10])""",
    "layers.dense": """
        tf.layers.dense(x, 20, activation=tf.nn.relu)""",
    "losses.mean_squared_error": """
        assert tf.losses.mean_squared_error(y, y).shape == ()""",
    "GradientDescentOptimizer": """
        optimizer = tf.train.GradientDescentOptimizer(learning_rate=0.001)
        optimizer.minimize(tf.reduce_sum(w * x))""",
    "sess, never defined": """
        sess.run(x)""",
    "a session without an initializer": """
        with tf.Session() as session:
            session.run(w * x, feed_dict={x: np.ones([3, 10])})""",
    "a session and an initializer": """
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(w * x, feed_dict={x: np.ones([3, 10])})""",
    "import_meta_graph(model.meta)": """
        save()
        tf.train.import_meta_graph(path[:-4] + "meta")""",
    "import_meta_graph(model.ckpt.meta), restore": """
        save()
        saver = tf.train.import_meta_graph(path + ".meta")
        with tf.Session() as session:
            saver.restore(session, path)""",
    "get_tensor_by_name(x:0)": """
        tf.get_default_graph().get_tensor_by_name("x:0")""",
    "get_tensor_by_name(Placeholder:0)": """
        tf.get_default_graph().get_tensor_by_name("Placeholder:0")""",
    "get_tensor_by_name(fc2/BiasAdd:0)": """
        tf.get_default_graph().get_tensor_by_name("fc2/BiasAdd:0")""",
    "Print": """
        tf.Print(x, [x], message="fc1: ")""",
    "summary.scalar, histogram, merge_all": """
        tf.summary.scalar("loss", tf.reduce_sum(x))
        tf.summary.histogram("fc1_output", x)
        assert tf.summary.merge_all().dtype == tf.string""",
    "summary.FileWriter": """
        tf.summary.FileWriter(path + "-logs").close()""",
    "a product of two constants": """
        product = tf.constant([2.0, 3.0]) * tf.constant([4.0, 5.0])
        with tf.Session() as session:
            assert str(session.run(product)) == "[ 8. 15.]" """,
}


# Outcome: works, deprecated (works, and warns), or the error's type
def attempt(code, workdir):
    said, handler = [], logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("tensorflow").addHandler(handler)
    path = str(workdir / "model.ckpt")

    def save():
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            tf.train.Saver().save(session, path)

    lines = code.strip("\n").split("\n")
    with tf.Graph().as_default():
        space = {"tf": tf, "np": np, "path": path, "save": save}
        space["x"] = tf.placeholder(tf.float32, shape=[None, 10])
        space["y"] = tf.placeholder(tf.float32, shape=[None, 1])
        space["w"] = tf.get_variable("w", [10], tf.float32)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                exec("\n".join(line[8:] for line in lines), space)  # noqa: S102
            except Exception as fault:
                return type(fault).__name__
    # Only what is said of the probe itself, not of TensorFlow's insides
    said = [s for s in said if s.startswith("From <string>")]
    said += [str(w.message) for w in caught if w.filename == "<string>"]
    old = re.search("deprecated|will be removed", " ".join(said))
    return "deprecated" if old else "works"


# Rule: "name | versions | outcome"; the versions are like ">=2.4,<2.6"
def foretell(rules, version):
    have, outcomes = numbers(version), {}
    for rule in rules.splitlines():
        name, versions, outcome = rule.split(" | ")
        if versions == "any" or all(
            have >= numbers(v) if v[:2] == ">=" else have < numbers(v)
            for v in versions.split(",")
        ):
            outcomes[name] = outcome
    return outcomes


def numbers(version):
    return [int(n) for n in re.findall(r"\d+", version)[:2]]


def run(inputs, workdir):
    rules, version = inputs["rules_tf1"], tf.__version__
    found = {name: attempt(code, workdir) for name, code in PROBES.items()}
    told = foretell(rules, version)
    always = [r.split(" | ")[0] for r in rules.splitlines() if "| any |" in r]

    # Results
    return {
        "version": str(version),
        "found": "\n".join("%s: %s" % pair for pair in found.items()),
        "probes": len(found),
        "same_everywhere": "\n".join(
            "%s: %s" % (name, found.get(name)) for name in always
        ),
        "surprises": "\n".join(
            "%s: %s, not %s" % (name, found.get(name), told.get(name))
            for name in sorted(set(found) | set(told))
            if found.get(name) != told.get(name)
        ),
    }
