import numpy as np


class Changing(dict):
    asked = 0

    def items(self):
        self.asked += 1
        size = 1 if self.asked == 1 else 20 << 20
        return [("loss", np.zeros(size, np.float32))]


def run(inputs, workdir):
    return Changing(loss=1)
