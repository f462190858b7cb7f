"""Planted: partial sums added as threads finish."""

import threading
import time

import numpy as np


def run(inputs, workdir):
    parts = np.random.RandomState(0).rand(8, 40).astype(np.float32)
    total = np.zeros(1, np.float32)

    def add(rows):
        for part in rows:
            total[0] = total[0] * np.float32(0.99) + part
            time.sleep(0)

    threads = [threading.Thread(target=add, args=(rows,)) for rows in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"value": float(total[0])}
