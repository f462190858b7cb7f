"""Planted: TensorFlow splits a large product by the CPU's caches."""

import numpy as np
import tensorflow as tf


def run(inputs, workdir):
    draws = np.random.RandomState(0)
    a = tf.constant(draws.rand(256, 4096).astype(np.float32))
    b = tf.constant(draws.rand(4096, 256).astype(np.float32))
    product = tf.matmul(a, b).numpy().astype(np.float64)
    return {"value": float(product.sum())}
