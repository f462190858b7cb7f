"""Save and evaluate: a checkpoint of variables, and the graph beside it."""

import os

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

CHECKPOINT = "model.ckpt"


# Network: the code, needed again by every rebuild
def build():
    x = tf.placeholder(tf.float32, shape=[None, 10])  # Placeholder:0
    y = tf.placeholder(tf.float32, shape=[None, 1])  # Placeholder_1:0
    fc1 = tf.layers.dense(x, 20, activation=tf.nn.relu)  # dense/Relu:0
    fc2 = tf.layers.dense(fc1, 1)  # dense_1/BiasAdd:0
    loss = tf.losses.mean_squared_error(y, fc2)
    return x, y, fc2, loss  # loss: mean_squared_error/value:0


# Evaluation: answers and loss, in one run of the graph
def evaluate(sess, model, inputs):
    x, y, fc2, loss = model
    feed = {x: inputs["x_test"], y: inputs["y_test"]}  # [90, 10], [90, 1]
    predictions, value = sess.run([fc2, loss], feed_dict=feed)
    return predictions, np.array(value)  # [90, 1], []


# Weights: one vector, matrices as [inputs, outputs]
def flatten(sess):
    parts = [w.ravel() for w in sess.run(tf.trainable_variables())]
    return np.concatenate(parts)  # [241]


def save(inputs, workdir):
    # Finished weights
    with tf.Graph().as_default(), tf.Session() as sess:
        model = build()
        names = ["w1", "b1", "w2", "b2"]
        for variable, name in zip(tf.trainable_variables(), names):
            variable.load(inputs[name], sess)

        # Save: variables under their names, and everything (model.ckpt.meta)
        # BEGIN SOLUTION
        tf.train.Saver().save(sess, os.path.join(workdir, CHECKPOINT))
        # END SOLUTION

        # Results
        _, loss = evaluate(sess, model, inputs)
    return {"saved_loss": loss}  # []


def load(inputs, workdir):
    # Rebuilt: our code makes the network, the file fills it
    path = os.path.join(workdir, CHECKPOINT)
    with tf.Graph().as_default(), tf.Session() as sess:
        # BEGIN SOLUTION
        model = build()
        tf.train.Saver().restore(sess, path)
        rebuilt_weights = flatten(sess)
        rebuilt_predictions, rebuilt_loss = evaluate(sess, model, inputs)
        # END SOLUTION

    # Whole: the file holds the graph; tensors are found by their names
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        # BEGIN SOLUTION
        saver = tf.train.import_meta_graph(path + ".meta")
        saver.restore(sess, path)
        x = graph.get_tensor_by_name("Placeholder:0")
        y = graph.get_tensor_by_name("Placeholder_1:0")
        fc2 = graph.get_tensor_by_name("dense_1/BiasAdd:0")
        loss = graph.get_tensor_by_name("mean_squared_error/value:0")
        model = x, y, fc2, loss
        whole_weights = flatten(sess)
        whole_predictions, whole_loss = evaluate(sess, model, inputs)
        # END SOLUTION

    # Results
    return {
        "rebuilt_weights": rebuilt_weights,  # [241]
        "rebuilt_predictions": rebuilt_predictions,  # [90, 1]
        "rebuilt_loss": rebuilt_loss,  # []
        "whole_weights": whole_weights,  # [241]
        "whole_predictions": whole_predictions,  # [90, 1]
        "whole_loss": whole_loss,  # []
    }
