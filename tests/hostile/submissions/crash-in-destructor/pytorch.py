import atexit
import ctypes
import threading
import time

import numpy as np


class Trap(np.ndarray):
    def __del__(self):
        print("BREACH: a destructor ran after the answer", flush=True)
        ctypes.string_at(0)


KEPT = []


def hang():
    time.sleep(100000)


def run(inputs, workdir):
    atexit.register(hang)
    threading.Thread(target=hang).start()
    KEPT.append(np.zeros(3).view(Trap))
    print("answered", flush=True)
    return {"loss": np.zeros(176, np.float32)}
