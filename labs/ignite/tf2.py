"""A loop as fit with callbacks: Keras calls, train_step is ours."""

import numpy as np
import tensorflow as tf


class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.fc1 = tf.keras.layers.Dense(20, activation="relu")
        self.fc2 = tf.keras.layers.Dense(1)
        self.mean = tf.keras.metrics.Mean()

    def call(self, x):  # [n, 10]
        return self.fc2(self.fc1(x))  # [n, 1]

    # One step: all that fit wants to know of the training
    # BEGIN SOLUTION
    def train_step(self, data):
        x, y = data  # [32, 10], [32, 1]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x) - y))
        weights = self.trainable_variables
        gradients = tape.gradient(loss, weights)
        self.optimizer.apply_gradients(zip(gradients, weights))
        self.mean.update_state(loss)
        return {"loss": loss, "mean": self.mean.result()}

    # END SOLUTION


def run(inputs, workdir):
    # Data: one epoch is 11 batches, and fit never looks where it ends
    rows = inputs["batches"].reshape(-1)  # [16 * 11 * 32]
    arrays = (inputs["x"][rows], inputs["y"][rows])  # [5632, 10], [5632, 1]
    train = tf.data.Dataset.from_tensor_slices(arrays).batch(32)
    arrays = (inputs["x_test"], inputs["y_test"])  # [90, 10], [90, 1]
    test = tf.data.Dataset.from_tensor_slices(arrays).batch(45)  # 2 batches
    epochs, per_epoch, _ = inputs["batches"].shape  # 16, 11, 32

    # Network and first weights: a Dense layer keeps [inputs, outputs]
    net = Net()
    net(inputs["x_test"])
    weights = [inputs[name] for name in ("w1", "b1", "w2", "b2")]
    for variable, value in zip(net.trainable_variables, weights):
        variable.assign(value)

    # Loss and optimiser: the loss is in train_step; this one is for tests
    optimizer = tf.keras.optimizers.SGD(inputs["learning_rate"])
    net.compile(optimizer, loss="mse", jit_compile=False)

    # Callbacks: there is no "every fourth epoch"; a callback has to count
    # BEGIN SOLUTION
    events, losses, means, checks = [], [], [], []

    class Epochs(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            events.append("<")

        def on_epoch_begin(self, epoch, logs=None):
            events.append("[")

        def on_train_batch_end(self, batch, logs=None):
            events.append(".")
            losses.append(logs["loss"])

        def on_epoch_end(self, epoch, logs=None):
            events.append("]")
            means.append(logs["mean"])
            if (epoch + 1) % inputs["check_every"] == 0:
                events.append("?")
                logs = net.evaluate(test, verbose=0, return_dict=True)
                checks.append(logs["loss"])
            if epoch + 1 == inputs["halve_after"]:
                events.append("/")
                optimizer.learning_rate.assign(optimizer.learning_rate / 2)

        def on_train_end(self, logs=None):
            events.append(">")

    # END SOLUTION

    # Training
    # BEGIN SOLUTION
    net.fit(
        train,
        epochs=epochs,
        steps_per_epoch=per_epoch,
        callbacks=[Epochs()],
        verbose=0,
    )
    # END SOLUTION

    # Results
    w1, b1, w2, b2 = (v.numpy() for v in net.trainable_variables)
    return {
        "loss": np.float32(losses),  # [176]
        "epoch_loss": np.float32(means),  # [16]
        "test_loss": np.float32(checks),  # [4]
        "w1": w1,  # [10, 20]
        "b1": b1,  # [20]
        "w2": w2,  # [20, 1]
        "b2": b2,  # [1]
        "events": "".join(events),
    }
