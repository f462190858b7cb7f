"""A loop as a session with hooks: MonitoredSession calls, hooks answer."""

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def run(inputs, workdir):
    # Data: one epoch is 11 batches of row numbers
    x = tf.placeholder(tf.float32, shape=[None, 10])
    y = tf.placeholder(tf.float32, shape=[None, 1])
    test = {x: inputs["x_test"], y: inputs["y_test"]}  # [90, 10], [90, 1]
    epochs, per_epoch, _ = inputs["batches"].shape  # 16, 11, 32
    batches = inputs["batches"].reshape(epochs * per_epoch, -1)  # [176, 32]

    # Network and first weights: variables are [inputs, outputs]
    w1, b1, w2, b2 = weights = [
        tf.get_variable(name, initializer=inputs[name])
        for name in ("w1", "b1", "w2", "b2")
    ]
    predictions = tf.nn.relu(x @ w1 + b1) @ w2 + b2  # [n, 1]

    # Loss and optimiser: the rate is a variable, so that a run can halve it
    loss = tf.losses.mean_squared_error(y, predictions)
    rate = tf.get_variable(
        "rate", initializer=inputs["learning_rate"], trainable=False
    )
    halve_rate = rate.assign(rate / 2)
    optimizer = tf.train.GradientDescentOptimizer(rate)

    # One step: it also counts itself, or no hook could stop the session
    # BEGIN SOLUTION
    global_step = tf.train.get_or_create_global_step()
    train_op = optimizer.minimize(loss, global_step=global_step)
    # END SOLUTION

    # Hooks: there are steps but no epochs; a hook has to count
    # BEGIN SOLUTION
    events, losses, means, checks, final = [], [], [], [], []

    class Epochs(tf.train.SessionRunHook):
        def after_create_session(self, session, coord):
            events.append("<")

        def before_run(self, run_context):
            if len(losses) % per_epoch == 0:
                events.append("[")
            rows = batches[len(losses)]  # [32]
            feed = {x: inputs["x"][rows], y: inputs["y"][rows]}
            return tf.train.SessionRunArgs(loss, feed_dict=feed)

        def after_run(self, run_context, run_values):
            events.append(".")
            losses.append(run_values.results)
            if len(losses) % per_epoch:
                return
            events.append("]")
            means.append(np.mean(losses[-per_epoch:], dtype=np.float64))
            epoch = len(means)
            if epoch % inputs["check_every"] == 0:
                events.append("?")
                # The session below the hooks: this run calls none of them
                checks.append(run_context.session.run(loss, feed_dict=test))
            if epoch == inputs["halve_after"]:
                events.append("/")
                run_context.session.run(halve_rate)

        def end(self, session):
            events.append(">")
            final.extend(session.run(weights))

    # END SOLUTION

    # Training
    # BEGIN SOLUTION
    hooks = [tf.train.StopAtStepHook(last_step=len(batches)), Epochs()]
    with tf.train.MonitoredSession(hooks=hooks) as sess:
        while not sess.should_stop():
            sess.run(train_op)
    # END SOLUTION

    # Results
    w1, b1, w2, b2 = final
    return {
        "loss": np.array(losses),  # [176]
        "epoch_loss": np.float32(means),  # [16]
        "test_loss": np.array(checks),  # [4]
        "w1": w1,  # [10, 20]
        "b1": b1,  # [20]
        "w2": w2,  # [20, 1]
        "b2": b2,  # [1]
        "events": "".join(events),
    }
