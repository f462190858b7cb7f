"""A convolutional net: channels last, SAME, Adam's epsilon a variable."""

import numpy as np
import tensorflow as tf

layers = tf.keras.layers


# Network
def build(inputs):
    return tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            # momentum: the share of the old; epsilon: 1e-3 unless told
            layers.BatchNormalization(
                momentum=1 - inputs["forget"], epsilon=inputs["norm_epsilon"]
            ),
            layers.Activation("elu"),  # [n, 8, 8, 8]
            # SAME with stride 2: nothing left and above, one right and below
            layers.Conv2D(16, 3, 2, padding="same", activation="elu"),
            layers.Flatten(),  # [n, 4, 4, 16] -> [n, 256]
            layers.Dense(10),  # [n, 10]
        ]
    )


# Version: the rule says from which on the running variance is biased
def predicted(rule):  # ">=2.16"
    here, since = tf.__version__.split("."), rule[2:].split(".")
    return [int(n) for n in here[:2]] >= [int(n) for n in since]


def run(inputs, workdir):
    # Data
    x = tf.constant(inputs["x"])  # [1408, 8, 8, 1]
    digits = tf.constant(inputs["digits"])  # [1408]
    x_test = tf.constant(inputs["x_test"])  # [389, 8, 8, 1]
    digits_test = tf.constant(inputs["digits_test"])  # [389]
    batches = tf.constant(inputs["batches"])  # [88, 32]

    # Network and first weights
    net = build(inputs)
    names = ("k1", "k2", "b2", "w3", "b3")
    k1, gamma, _, *others = net.trainable_variables
    for variable, name in zip([k1, *others], names):
        variable.assign(inputs[name])

    # Loss and optimiser: epsilon stands beside the uncorrected root
    # BEGIN SOLUTION
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    epsilon = tf.Variable(0.0)
    optimizer = tf.keras.optimizers.Adam(
        inputs["learning_rate"],
        beta_1=inputs["beta1"],
        beta_2=inputs["beta2"],
        epsilon=epsilon,
    )
    # END SOLUTION

    # One step
    # BEGIN SOLUTION
    @tf.function
    def step(xb, yb):  # [32, 8, 8, 1], [32]
        with tf.GradientTape() as tape:
            loss = loss_fn(yb, net(xb, training=True))
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables))
        return loss

    # END SOLUTION

    # Training: the same Adam as PyTorch's if epsilon shrinks like the root
    # BEGIN SOLUTION
    losses = []
    for t, rows in enumerate(batches, start=1):
        epsilon.assign(inputs["epsilon"] * (1 - inputs["beta2"] ** t) ** 0.5)
        losses.append(step(tf.gather(x, rows), tf.gather(digits, rows)))
    # END SOLUTION

    # Test: running statistics; the running variance must be unbiased
    mean, variance = net.layers[1].moving_mean, net.layers[1].moving_variance
    if predicted(inputs["biased_variance"]):
        count = batches.shape[1] * 64  # values per channel and batch
        first = (1 - inputs["forget"]) ** len(batches)  # what is left of 1
        biased = variance - first
        variance.assign(biased * count / (count - 1) + first)
    scores = net(x_test, training=False)  # [389, 10]
    test_loss = loss_fn(digits_test, scores)

    # Defaults: a fresh layer
    fresh = layers.Dense(256)
    fresh.build((None, 256))

    # Results
    return {
        "loss": np.array(losses),  # [88]
        "k1": k1.numpy(),  # [3, 3, 1, 8]
        "k2": others[0].numpy(),  # [3, 3, 8, 16]
        "b3": others[3].numpy(),  # [10]
        "gamma": gamma.numpy(),  # [8]
        "running_mean": mean.numpy(),  # [8]
        "running_variance": variance.numpy(),  # [8]
        "test_loss": test_loss.numpy(),  # []
        "digits": np.argmax(scores, axis=1),  # [389]
        "default_limit": np.abs(fresh.kernel.numpy()).max(),  # []
    }
