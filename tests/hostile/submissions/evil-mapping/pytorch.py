import itertools

import numpy as np


class Endless(dict):
    def __len__(self):
        return 0

    def items(self):
        return (("loss%d" % n, np.zeros(1 << 16)) for n in itertools.count())


def run(inputs, workdir):
    return Endless(loss=1)
