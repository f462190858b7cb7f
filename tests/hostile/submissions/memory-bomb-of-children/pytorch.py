import os
import time


def run(inputs, workdir):
    wait, go = os.pipe()
    for _ in range(40):
        if os.fork() == 0:
            os.read(wait, 1)
            hoard = []
            while True:
                try:
                    hoard.append(b"x" * (8 << 20))
                except MemoryError:
                    time.sleep(600)
    print("children have started", flush=True)
    os.write(go, b"x" * 40)
    time.sleep(600)
