import hashlib
import threading
import time

go = threading.Event()


def spin():
    go.wait()
    while True:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000)  # without the interpreter's lock


def run(inputs, workdir):
    count = 0
    try:
        while True:
            threading.Thread(target=spin, daemon=True).start()
            count += 1
    except RuntimeError:
        print("no more threads after", count, flush=True)
    go.set()
    time.sleep(600)
