"""A convolutional net: channels last, SAME, Adam's epsilon fed anew."""

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


# Network
def build(x, training, inputs):  # [n, 8, 8, 1]
    def start(name):
        return tf.constant_initializer(inputs[name])

    y = tf.layers.conv2d(
        x,
        8,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer=start("k1"),
    )  # [n, 8, 8, 8]
    # momentum: the share of the old; epsilon: 1e-3 unless told
    y = tf.layers.batch_normalization(
        y,
        momentum=1 - inputs["forget"],
        epsilon=inputs["norm_epsilon"],
        training=training,
    )
    # SAME with stride 2: nothing left and above, one right and below
    y = tf.layers.conv2d(
        tf.nn.elu(y),
        16,
        3,
        strides=2,
        padding="same",
        kernel_initializer=start("k2"),
        bias_initializer=start("b2"),
    )  # [n, 4, 4, 16]
    return tf.layers.dense(
        tf.reshape(tf.nn.elu(y), [-1, 256]),
        10,
        kernel_initializer=start("w3"),
        bias_initializer=start("b3"),
    )  # [n, 10]


def run(inputs, workdir):
    # Data
    x = tf.placeholder(tf.float32, shape=[None, 8, 8, 1])
    digits = tf.placeholder(tf.int64, shape=[None])
    training = tf.placeholder_with_default(False, shape=[])
    test = {x: inputs["x_test"], digits: inputs["digits_test"]}

    # Network and first weights
    scores = build(x, training, inputs)  # [n, 10]

    # Loss and optimiser: epsilon stands beside the uncorrected root
    # BEGIN SOLUTION
    loss = tf.losses.sparse_softmax_cross_entropy(digits, scores)
    epsilon = tf.placeholder(tf.float32, shape=[])
    optimizer = tf.train.AdamOptimizer(
        inputs["learning_rate"],
        inputs["beta1"],
        inputs["beta2"],
        epsilon,
    )
    # END SOLUTION

    # The running statistics follow only if somebody runs them
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train_op = optimizer.minimize(loss)

    # One step: the same Adam as PyTorch's if epsilon shrinks like the root
    # BEGIN SOLUTION
    def step(t, rows):  # [32]
        feed = {
            x: inputs["x"][rows],
            digits: inputs["digits"][rows],
            training: True,
            epsilon: inputs["epsilon"] * np.sqrt(1 - inputs["beta2"] ** t),
        }
        return sess.run([loss, train_op], feed_dict=feed)[0]

    # END SOLUTION

    # Defaults: a fresh layer
    tf.get_variable("fresh", shape=[256, 256])

    # Training: batch statistics
    with tf.Session() as sess:
        # BEGIN SOLUTION
        sess.run(tf.global_variables_initializer())
        steps = enumerate(inputs["batches"], start=1)  # [88, 32]
        losses = [step(t, rows) for t, rows in steps]
        # END SOLUTION

        # Test: running statistics; the running variance is unbiased
        test_scores, test_loss = sess.run([scores, loss], feed_dict=test)
        final = sess.run({v.op.name: v for v in tf.global_variables()})

    # Results
    norm = "batch_normalization/"
    return {
        "loss": np.array(losses),  # [88]
        "k1": final["conv2d/kernel"],  # [3, 3, 1, 8]
        "k2": final["conv2d_1/kernel"],  # [3, 3, 8, 16]
        "b3": final["dense/bias"],  # [10]
        "gamma": final[norm + "gamma"],  # [8]
        "running_mean": final[norm + "moving_mean"],  # [8]
        "running_variance": final[norm + "moving_variance"],  # [8]
        "test_loss": np.array(test_loss),  # []
        "digits": np.argmax(test_scores, axis=1),  # [389]
        "default_limit": np.abs(final["fresh"]).max(),  # []
    }
