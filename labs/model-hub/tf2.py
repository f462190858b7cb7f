"""A model hub, TensorFlow 2: a SavedModel, loaded by TensorFlow Hub."""

import os

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

FOLDER = "regressor"
ROWS = tf.TensorSpec([None, 10], tf.float32)


# The model as functions: the code stays at home, its traces are published
class Regressor(tf.Module):
    def __init__(self, w1, b1, w2, b2):
        super().__init__()
        self.w1, self.b1 = tf.Variable(w1), tf.Variable(b1)  # [10, 20], [20]
        self.w2, self.b2 = tf.Variable(w2), tf.Variable(b2)  # [20, 1], [1]

    @tf.function(input_signature=[ROWS])
    def features(self, x):  # [n, 10]
        return {"y": tf.tanh(x @ self.w1 + self.b1)}  # [n, 20]

    @tf.function(input_signature=[ROWS])
    def __call__(self, x):  # [n, 10]
        return self.features(x)["y"] @ self.w2 + self.b2  # [n, 1]


# Weights: one vector, matrices as [inputs, outputs]
def flatten(*variables):
    return np.concatenate([v.numpy().ravel() for v in variables])


def publish(inputs, workdir):
    # Weights: matrices as [inputs, outputs]
    net = Regressor(*[inputs[name] for name in ("w1", "b1", "w2", "b2")])

    # Graph
    folder = os.path.join(workdir, FOLDER)
    tf.saved_model.save(net, folder, signatures={"features": net.features})

    # Answers before anyone else loads it
    predictions = net(tf.constant(inputs["x_test"]))
    return {"published_predictions": predictions.numpy()}  # [90, 1]


def use(inputs, workdir):
    x = tf.constant(inputs["x"])  # [352, 10]
    x_test = tf.constant(inputs["x_test"])  # [90, 10]
    worse = tf.constant(inputs["worse"])  # [352, 1]

    # Load: the whole object, and one signature of it as a Keras layer
    # BEGIN SOLUTION
    folder = os.path.join(workdir, FOLDER)
    net = hub.load(folder)
    base = hub.KerasLayer(folder, signature="features", output_key="y")
    # END SOLUTION

    # Answers
    predictions = net(x_test)  # [90, 1]
    features = base(x_test)  # [90, 20]

    # A head of our own on the published features, which stay as they are
    # BEGIN SOLUTION
    w, b = tf.Variable(tf.zeros([20, 1])), tf.Variable(tf.zeros([1]))
    optimizer = tf.keras.optimizers.SGD(inputs["learning_rate"])
    # END SOLUTION

    # One step
    # BEGIN SOLUTION
    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = base(x) @ w + b  # [352, 1]
            losses = tf.nn.sigmoid_cross_entropy_with_logits(worse, logits)
            loss = tf.reduce_mean(losses)
        slopes = tape.gradient(loss, [w, b])
        optimizer.apply_gradients(zip(slopes, [w, b]))
        return loss

    # END SOLUTION

    # Training
    # BEGIN SOLUTION
    losses = [step() for _ in range(inputs["steps"])]
    # END SOLUTION

    # Results
    return {
        "loaded_predictions": predictions.numpy(),  # [90, 1]
        "features": features.numpy(),  # [90, 20]
        "head_loss": np.array(losses),  # [40]
        "head": flatten(w, b),  # [21]
        "risk": tf.sigmoid(features @ w + b).numpy(),  # [90, 1]
        "weights": flatten(net.w1, net.b1, net.w2, net.b2),  # [241]
    }
