"""What became of the guide's TensorFlow: each call, in version 2."""

import logging
import re
import warnings

import tensorflow as tf

PROBES = {
    "placeholder": """
        tf.placeholder(tf.float32, shape=[None, 10])""",
    "layers.dense": """
        tf.layers.dense(x, 20, activation=tf.nn.relu)""",
    "keras.layers.Dense": """
        assert tf.keras.layers.Dense(20)(x).shape == (3, 20)""",
    "losses.mean_squared_error": """
        assert tf.losses.mean_squared_error(y, y).shape == (3,)""",
    "keras.losses.MeanSquaredError": """
        assert tf.keras.losses.MeanSquaredError()(y, y).shape == ()""",
    "train.GradientDescentOptimizer": """
        tf.train.GradientDescentOptimizer(learning_rate=0.001)""",
    "keras.optimizers.SGD, GradientTape": """
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(w * x)
        optimizer = tf.keras.optimizers.SGD(learning_rate=0.001)
        optimizer.apply_gradients([(tape.gradient(loss, w), w)])""",
    "Session": """
        tf.Session()""",
    "global_variables_initializer": """
        tf.global_variables_initializer()""",
    "train.import_meta_graph": """
        tf.train.import_meta_graph(path)""",
    "train.Checkpoint": """
        tf.train.Checkpoint(w=w).restore(tf.train.Checkpoint(w=w).save(path))""",
    "get_default_graph": """
        tf.get_default_graph()""",
    "Print": """
        tf.Print(x, [x], message="fc1: ")""",
    "print": """
        tf.print("fc1:", x)""",
    "summary.scalar without a step": """
        with tf.summary.create_file_writer(path + "-logs").as_default():
            tf.summary.scalar("loss", 1.0)""",
    "summary.scalar with a step": """
        with tf.summary.create_file_writer(path + "-logs").as_default():
            tf.summary.scalar("loss", 1.0, step=0)""",
    "summary.merge_all": """
        tf.summary.merge_all()""",
    "summary.FileWriter": """
        tf.summary.FileWriter(path + "-logs")""",
    "a product of two constants": """
        product = tf.constant([2.0, 3.0]) * tf.constant([4.0, 5.0])
        assert str(product.numpy()) == "[ 8. 15.]" """,
    "the same program under compat.v1": """
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            product = tf.constant([2.0, 3.0]) * tf.constant([4.0, 5.0])
            assert str(session.run(product)) == "[ 8. 15.]" """,
}


# Outcome: works, deprecated (works, and warns), or the error's type
def attempt(code, workdir):
    said, handler = [], logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("tensorflow").addHandler(handler)
    lines = code.strip("\n").split("\n")
    space = {"tf": tf, "path": str(workdir / "model.ckpt")}
    space["x"], space["y"] = tf.ones([3, 10]), tf.ones([3, 1])
    space["w"] = tf.Variable(tf.ones([10]))
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
    rules, version = inputs["rules_tf2"], tf.__version__
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
