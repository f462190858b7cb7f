"""A stream of rows: TensorFlow Datasets writes, a session asks for more."""

import os

import numpy as np
import tensorflow.compat.v1 as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import gcs_utils

tf.disable_v2_behavior()
# Versions before 4 look for prepared data in the cloud first
gcs_utils.is_gcs_disabled = lambda: True


# Source: a class that knows the columns and yields keys and rows
class Rows(tfds.core.GeneratorBasedBuilder):
    """Rows of a local file, which no download ever sees."""

    VERSION = tfds.core.Version("1.0.0")
    path = split = None

    def _info(self):
        features = {
            "id": tf.int64,
            "x": tfds.features.Tensor(shape=(10,), dtype=tf.float32),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        # The older way; versions since 4 also take {name: generator}
        return [tfds.core.SplitGenerator(name=self.split, gen_kwargs={})]

    def _generate_examples(self):
        for key, row in enumerate(np.load(self.path)):
            yield key, {"id": key, "x": row}


# Session: one run for each element, until an error says that it is over
def drain(dataset):
    row = tf.data.make_one_shot_iterator(dataset).get_next()
    found = []
    with tf.Session() as sess:
        while True:
            try:
                found.append(sess.run(row))
            except tf.errors.OutOfRangeError:
                return found


def ids_of(dataset):
    return np.concatenate([np.ravel(batch["id"]) for batch in drain(dataset)])


def run(inputs, workdir):
    # Source: written once, as TFRecord files sorted by a hash of the key
    Rows.path = os.path.join(str(workdir), "rows.npy")
    Rows.split = inputs["split"]
    np.save(Rows.path, inputs["x"])  # [60, 10]
    builder = Rows(data_dir=os.path.join(str(workdir), "data"))
    builder.download_and_prepare()
    rows = builder.as_dataset(split=inputs["split"])
    part = builder.as_dataset(split=inputs["split"] + "[10:20]")

    # Element: what one row looks like
    types = tf.data.get_output_types(rows)
    shapes = tf.data.get_output_shapes(rows)
    element = " ".join(
        "%s:%s%s" % (name, types[name].name, shapes[name].as_list())
        for name in sorted(types)
    )

    # Order: all rows in memory, sorted, then taken in the order we say
    # BEGIN SOLUTION
    (everything,) = drain(rows.batch(len(inputs["x"])))
    place = np.argsort(everything["id"])  # [60]
    table = {n: v[place] for n, v in everything.items()}

    def take(i):
        return {n: tf.gather(values, i) for n, values in table.items()}

    def change(row):
        return dict(row, x=(row["x"] - inputs["shift"]) * inputs["scale"])

    def stream(order):
        return tf.data.Dataset.from_tensor_slices(order).map(take)

    # END SOLUTION

    # Epochs: a permutation each, batches, a last one that is smaller
    # BEGIN SOLUTION
    batches = [
        batch
        for order in inputs["orders"]  # [2, 60]
        for batch in drain(stream(order).map(change).batch(inputs["batch"]))
    ]
    first = stream(inputs["orders"][0])
    # END SOLUTION

    # Variations: whole batches only, half of the rows, read ahead
    # BEGIN SOLUTION
    full = first.batch(inputs["batch"], drop_remainder=True)
    half = first.shard(2, 1)
    ahead = first.prefetch(4)
    # END SOLUTION

    # Shuffle: from a buffer of 8; a row comes at most 7 places early
    plain = stream(np.arange(len(inputs["x"])))
    mixed = ids_of(plain.shuffle(inputs["buffer"], seed=1))
    early = mixed - np.arange(len(mixed))

    # Results
    ids = [batch["id"] for batch in batches]
    return {
        "element": element,
        "written": ids_of(rows),  # [60]
        "slice": ids_of(part),  # [10]
        "ids": np.concatenate(ids),  # [120]
        "sizes": np.array([len(batch) for batch in ids]),  # [8]
        "x": np.concatenate([batch["x"] for batch in batches]),  # [120, 10]
        "full": ids_of(full).reshape(-1, inputs["batch"]),  # [3, 16]
        "second_half": ids_of(half),  # [30]
        "prefetched": ids_of(ahead),  # [60]
        "shuffle_is_local": bool(early.max() < inputs["buffer"]),
    }
