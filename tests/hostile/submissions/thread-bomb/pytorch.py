import threading
import time


def spin():
    while True:
        pass


def run(inputs, workdir):
    count = 0
    try:
        while True:
            threading.Thread(target=spin, daemon=True).start()
            count += 1
    except RuntimeError:
        print("no more threads after", count, flush=True)
    time.sleep(600)
