"""A hidden loop: Keras compiles train_step once; fit calls it."""

import os

import numpy as np
import tensorflow as tf


# Callback: what the loop would have printed
class Record(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses, self.valid = [], []

    def on_train_batch_begin(self, batch, logs=None):
        # Else the logs of a batch are means since the epoch's first one
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        self.valid.append(logs["val_loss"])


def run(inputs, workdir):
    # Data: 16 epochs in one row; steps_per_epoch says where each ends
    def rows(size, *arrays):
        return tf.data.Dataset.from_tensor_slices(arrays).batch(size)

    order = inputs["batches"].reshape(-1)  # [16 * 11 * 32]
    train = rows(32, inputs["x"][order], inputs["y"][order])
    valid = rows(45, inputs["x_valid"], inputs["y_valid"])  # 1 batch
    epochs, per_epoch, _ = inputs["batches"].shape  # 16, 11, 32

    # Network and first weights: a Dense layer keeps [inputs, outputs]
    net = tf.keras.Sequential(
        [
            tf.keras.Input((10,)),  # [n, 10]
            tf.keras.layers.Dense(20, activation="relu"),  # [n, 20]
            tf.keras.layers.Dense(1),  # [n, 1]
        ]
    )
    net.set_weights([inputs[name] for name in ("w1", "b1", "w2", "b2")])

    # Training: without jit_compile=False Keras 3 may hand it to XLA
    # BEGIN SOLUTION
    optimizer = tf.keras.optimizers.SGD(
        inputs["learning_rate"],
        momentum=inputs["momentum"],
        clipvalue=inputs["clip"],
    )
    net.compile(optimizer, loss="mse", jit_compile=False)
    record = Record()
    path = os.path.join(workdir, "best.weights.h5")
    best = tf.keras.callbacks.ModelCheckpoint(
        path, monitor="val_loss", save_best_only=True, save_weights_only=True
    )
    net.fit(
        train,
        epochs=epochs,
        steps_per_epoch=per_epoch,
        validation_data=valid,
        callbacks=[record, best],
        verbose=0,
    )
    w1, b1, w2, b2 = net.get_weights()
    # END SOLUTION

    # Best epoch: back from its file, which does not say which it is
    # BEGIN SOLUTION
    net.load_weights(path)
    predictions = net.predict(inputs["x_test"], batch_size=45, verbose=0)
    best_epoch = int(np.argmin(record.valid))
    # END SOLUTION

    # Results
    return {
        "loss": np.float32(record.losses),  # [176]
        "valid_loss": np.float32(record.valid),  # [16]
        "best_epoch": best_epoch,
        "best_predictions": predictions,  # [45, 1]
        "w1": w1,  # [10, 20]
        "b1": b1,  # [20]
        "w2": w2,  # [20, 1]
        "b2": b2,  # [1]
    }
