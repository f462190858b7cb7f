"""Write the checkpoints of this lab with whatever framework is installed.

Usage: python write.py pytorch|tf1|tf2, in an environment; the files land in
``files/``, named after the framework's version. It was run once for each
version. Then: python write.py table > files.csv
"""

# ruff: noqa: PLC0415 - an environment has what its own writer imports

import hashlib
import os
import sys
import zipfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True


def weights():
    """Return the weights that every file holds: whole 64ths."""
    values = {}
    for name, shape in (
        ("w1", (10, 20)),
        ("b1", (20,)),
        ("w2", (20, 1)),
        ("b2", (1,)),
    ):
        random = np.random.RandomState(sum(map(ord, name)))
        values[name] = (random.randint(-64, 65, shape) / 64).astype("f4")
    return values


def folder(framework, version):
    short = ".".join(version.split("+")[0].split(".")[:2])
    path = os.path.join(HERE, "files", "%s-%s" % (framework, short))
    os.makedirs(path, exist_ok=True)
    return path


def forget_sources(path):
    """Leave out of a scripted module from which paths its code came."""
    with zipfile.ZipFile(path) as archive:
        parts = [(i.filename, archive.read(i)) for i in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts:
            if not name.endswith(".debug_pkl"):
                archive.writestr(zipfile.ZipInfo(name), data)


def pytorch():
    import torch

    place = folder("torch", torch.__version__)
    net = torch.nn.Sequential(
        torch.nn.Linear(10, 20), torch.nn.ReLU(), torch.nn.Linear(20, 1)
    )
    values = [torch.tensor(v.T.copy()) for v in weights().values()]
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), values):
            parameter.copy_(value)

    def path(name):
        return os.path.join(place, name)

    torch.save(net.state_dict(), path("state.pt"))
    torch.save(
        net.state_dict(), path("old.pt"), _use_new_zipfile_serialization=False
    )
    torch.save(net, path("whole.pt"))
    torch.jit.script(net).save(path("script.pt"))
    forget_sources(path("script.pt"))
    if hasattr(torch.nn, "RMSNorm"):  # a class that came with 2.4
        net.add_module("3", torch.nn.RMSNorm(1, elementwise_affine=False))
        torch.save(net, path("newer.pt"))


def tf1():
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    place = folder("tf", tf.__version__)
    x = tf.placeholder(tf.float32, [None, 10], name="x")
    y = tf.placeholder(tf.float32, [None, 1], name="y")
    variables = {
        n: tf.get_variable(n, initializer=v) for n, v in weights().items()
    }
    h = tf.nn.relu(tf.matmul(x, variables["w1"]) + variables["b1"])
    p = tf.add(tf.matmul(h, variables["w2"]), variables["b2"], name="p")
    loss = tf.reduce_mean(tf.square(p - y))
    tf.train.GradientDescentOptimizer(0.5).minimize(loss)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        tf.train.Saver().save(sess, os.path.join(place, "named"))
    os.remove(os.path.join(place, "checkpoint"))


def tf2():
    import tensorflow as tf

    tf.compat.v1.enable_eager_execution()
    place = folder("tf", tf.__version__)
    variables = {n: tf.Variable(v, name=n) for n, v in weights().items()}
    tf.train.Checkpoint(**variables).write(os.path.join(place, "objects"))
    net = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(20, activation="relu", input_shape=(10,)),
            tf.keras.layers.Dense(1),
        ]
    )
    net.set_weights(list(weights().values()))
    net.save(os.path.join(place, "model.h5"))
    if tf.__version__ > "2":  # the zip format came with 2.12
        net.save(os.path.join(place, "model.keras"))


def table():
    """Print ``files.csv``: what there is, who wrote it, what it hashes to."""
    writers = {"torch": "PyTorch", "tf": "TensorFlow"}
    root = os.path.join(HERE, "files")
    print("file,writer,sha256")
    for place in sorted(os.listdir(root)):
        framework, version = place.split("-")
        for name in sorted(os.listdir(os.path.join(root, place))):
            with open(os.path.join(root, place, name), "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            writer = "%s %s" % (writers[framework], version)
            print("%s/%s,%s,%s" % (place, name, writer, digest))


{"pytorch": pytorch, "tf1": tf1, "tf2": tf2, "table": table}[sys.argv[1]]()
