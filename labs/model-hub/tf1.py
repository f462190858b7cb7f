"""A model hub, TensorFlow 1: a folder of graph and weights."""

import os

import numpy as np
import tensorflow.compat.v1 as tf
import tensorflow_hub as hub

tf.disable_v2_behavior()

FOLDER = "regressor"
NAMES = ["w1", "b1", "w2", "b2"]
# tensorflow_hub dropped its TF1 format in 0.16; what remains for a session
# is hub.resolve (a folder for a handle) and TensorFlow's own loader.
MODULES = hasattr(hub, "Module")


# The model as a graph: the code stays at home, its nodes are published
def build():
    x = tf.placeholder(tf.float32, [None, 10])
    w1, b1 = tf.get_variable("w1", [10, 20]), tf.get_variable("b1", [20])
    w2, b2 = tf.get_variable("w2", [20, 1]), tf.get_variable("b2", [1])
    features = tf.tanh(tf.matmul(x, w1) + b1)  # [n, 20]
    regressor = tf.matmul(features, w2) + b2  # [n, 1]
    if MODULES:
        hub.add_signature("features", x, features)
        hub.add_signature("regressor", x, regressor)
    return x, features, regressor


# Open: the three tensors of a published model, or of one about to be
def instantiate(module):
    x = tf.placeholder(tf.float32, [None, 10])
    features = module(x, signature="features")  # [n, 20]
    return x, features, module(x, signature="regressor")  # [n, 1]


def resolve(folder, sess):
    meta = tf.saved_model.loader.load(sess, ["serve"], hub.resolve(folder))
    features = meta.signature_def["features"]
    regressor = meta.signature_def["regressor"]
    infos = features.inputs["x"], features.outputs["y"], regressor.outputs["y"]
    return [sess.graph.get_tensor_by_name(info.name) for info in infos]


def export(folder, sess, tensors):
    x, features, regressor = tensors
    sign = tf.saved_model.predict_signature_def
    builder = tf.saved_model.Builder(folder)
    builder.add_meta_graph_and_variables(
        sess,
        ["serve"],
        signature_def_map={
            "features": sign({"x": x}, {"y": features}),
            "regressor": sign({"x": x}, {"y": regressor}),
        },
    )
    builder.save()


def publish(inputs, workdir):
    # Graph
    folder = os.path.join(workdir, FOLDER)
    with tf.Graph().as_default(), tf.Session() as sess:
        if MODULES:
            module = hub.Module(hub.create_module_spec(build))
            tensors = instantiate(module)
        else:
            tensors = build()

        # Weights: matrices as [inputs, outputs]
        for name, variable in zip(NAMES, tf.global_variables()):
            variable.load(inputs[name], sess)
        if MODULES:
            module.export(folder, sess)
        else:
            export(folder, sess, tensors)

        # Answers before anyone else loads it
        feed = {tensors[0]: inputs["x_test"]}  # [90, 10]
        predictions = sess.run(tensors[2], feed_dict=feed)
    return {"published_predictions": predictions}  # [90, 1]


def use(inputs, workdir):
    with tf.Graph().as_default(), tf.Session() as sess:
        # Load: the nodes of the folder are put into this graph
        # BEGIN SOLUTION
        folder = os.path.join(workdir, FOLDER)
        if MODULES:
            x, features, regressor = instantiate(hub.Module(folder))
            sess.run(tf.global_variables_initializer())
        else:
            x, features, regressor = resolve(folder, sess)
        # END SOLUTION
        published = tf.global_variables()
        test = {x: inputs["x_test"]}  # [90, 10]

        # A head of our own on the published features, which stay as they are
        # BEGIN SOLUTION
        w, b = tf.Variable(tf.zeros([20, 1])), tf.Variable(tf.zeros([1]))
        worse = tf.placeholder(tf.float32, [None, 1])
        logits = tf.matmul(features, w) + b  # [n, 1]
        loss = tf.losses.sigmoid_cross_entropy(worse, logits)
        optimizer = tf.train.GradientDescentOptimizer(inputs["learning_rate"])
        train_op = optimizer.minimize(loss, var_list=[w, b])
        sess.run(tf.variables_initializer([w, b]))
        # END SOLUTION

        # One step
        # BEGIN SOLUTION
        def step():
            feed = {x: inputs["x"], worse: inputs["worse"]}
            return sess.run([loss, train_op], feed_dict=feed)[0]

        # END SOLUTION

        # Training
        # BEGIN SOLUTION
        losses = [step() for _ in range(inputs["steps"])]
        # END SOLUTION

        # Answers and results
        answers = {
            "loaded_predictions": regressor,  # [90, 1]
            "features": features,  # [90, 20]
            "risk": tf.sigmoid(logits),  # [90, 1]
        }
        results = sess.run(answers, feed_dict=test)
        head, weights = sess.run([[w, b], published])
    results["head_loss"] = np.array(losses)  # [40]
    results["head"] = np.concatenate([a.ravel() for a in head])  # [21]
    results["weights"] = np.concatenate([a.ravel() for a in weights])  # [241]
    return results
