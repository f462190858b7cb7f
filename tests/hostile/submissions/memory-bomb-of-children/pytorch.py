import os
import time


def run(inputs, workdir):
    for _ in range(40):
        if os.fork() == 0:
            hoard = []
            while True:
                try:
                    hoard.append(b"x" * (8 << 20))
                except MemoryError:
                    time.sleep(600)
    print("children have started", flush=True)
    time.sleep(600)
