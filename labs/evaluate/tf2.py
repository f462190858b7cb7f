"""Save and evaluate: the Keras format, and a SavedModel without Keras."""

import os

import numpy as np
import tensorflow as tf

KERAS, SAVED_MODEL = "model.keras", "saved_model"


# Network: the code, needed once; the Keras format stores it as settings
def build():
    return tf.keras.Sequential(
        [
            tf.keras.Input((10,)),  # [n, 10]
            tf.keras.layers.Dense(20, activation="relu"),  # [n, 20]
            tf.keras.layers.Dense(1),  # [n, 1]
        ]
    )


# Evaluation: answers and loss, eagerly
def evaluate(net, inputs):
    x = tf.constant(inputs["x_test"])  # [90, 10]
    y = tf.constant(inputs["y_test"])  # [90, 1]
    predictions = net(x)  # [90, 1]
    loss = tf.reduce_mean(tf.square(predictions - y))
    return predictions.numpy(), np.array(loss)  # [90, 1], []


# Weights: one vector, matrices as [inputs, outputs]
def flatten(variables):
    return np.concatenate([v.numpy().ravel() for v in variables])  # [241]


def save(inputs, workdir):
    # Finished weights
    net = build()
    net.set_weights([inputs[name] for name in ("w1", "b1", "w2", "b2")])

    # Save: settings and weights of the layers, then the traced function
    # BEGIN SOLUTION
    net.save(os.path.join(workdir, KERAS))
    net.export(os.path.join(workdir, SAVED_MODEL))
    # END SOLUTION

    # Results
    _, loss = evaluate(net, inputs)
    return {"saved_loss": loss}  # []


def load(inputs, workdir):
    # Rebuilt: Keras makes the network from settings, the file fills it
    # BEGIN SOLUTION
    net = tf.keras.models.load_model(os.path.join(workdir, KERAS))
    rebuilt_weights = flatten(net.trainable_variables)
    rebuilt_predictions, rebuilt_loss = evaluate(net, inputs)
    # END SOLUTION

    # Whole: the file holds the graph; no layer and no class comes back
    # BEGIN SOLUTION
    archive = tf.saved_model.load(os.path.join(workdir, SAVED_MODEL))
    whole_weights = flatten(archive.trainable_variables)
    whole_predictions, whole_loss = evaluate(archive.serve, inputs)
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
