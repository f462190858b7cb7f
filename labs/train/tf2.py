"""Training, eager with one compiled step: tf.function traces it once."""

import numpy as np
import tensorflow as tf


def run(inputs, workdir):
    # Data: eager tensors, copied from the arrays
    x = tf.constant(inputs["x"])  # [352, 10]
    y = tf.constant(inputs["y"])  # [352, 1]
    x_test = tf.constant(inputs["x_test"])  # [90, 10]
    y_test = tf.constant(inputs["y_test"])  # [90, 1]

    # Network
    net = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(20, activation="relu"),  # [n, 20]
            tf.keras.layers.Dense(1),  # [n, 1]
        ]
    )
    net.build((None, 10))

    # First weights: a Dense layer keeps its matrix as [inputs, outputs]
    net.set_weights([inputs[name] for name in ("w1", "b1", "w2", "b2")])

    # Loss and optimiser
    # BEGIN SOLUTION
    loss_fn = tf.keras.losses.MeanSquaredError()
    optimizer = tf.keras.optimizers.SGD(inputs["learning_rate"])
    optimizer.build(net.trainable_variables)
    # END SOLUTION

    # One step: Python runs it once to trace it, TensorFlow ever after
    # BEGIN SOLUTION
    @tf.function
    def step(xb, yb):  # [32, 10], [32, 1]
        with tf.GradientTape() as tape:
            loss = loss_fn(yb, net(xb))
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables))
        return loss

    # END SOLUTION

    # Training
    # BEGIN SOLUTION
    losses = [
        step(tf.gather(x, rows), tf.gather(y, rows))
        for rows in inputs["batches"]  # [176, 32]
    ]
    # END SOLUTION

    # Test
    # BEGIN SOLUTION
    predictions = net(x_test)  # [90, 1]
    test_loss = loss_fn(y_test, predictions)
    # END SOLUTION

    # Results
    w1, b1, w2, b2 = net.get_weights()
    return {
        "loss": np.array(losses),  # [176]
        "w1": w1,  # [10, 20]
        "b1": b1,  # [20]
        "w2": w2,  # [20, 1]
        "b2": b2,  # [1]
        "predictions": predictions.numpy(),  # [90, 1]
        "test_loss": np.array(test_loss),  # []
    }
