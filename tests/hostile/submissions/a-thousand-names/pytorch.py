import numpy as np


def run(inputs, workdir):
    names = ["%03d" % n + "predictions, test_loss, w1, w2, b1 " * 5 for n in range(990)]
    return {name[:200]: np.zeros(1, np.float32) for name in names}
