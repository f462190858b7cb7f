"""Planted: a counter that threads share without a lock."""

import threading
import time


def run(inputs, workdir):
    seen = [0]

    def count():
        for _ in range(50):
            before = seen[0]
            time.sleep(0)
            seen[0] = before + 1

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"value": float(seen[0])}
