import tensorflow as tf


def run(inputs, workdir):
    return {"loss": tf.zeros(176).numpy()}
