import itertools
import signal
import time


def fill(path):
    block = b"x" * (1 << 20)
    try:
        with open(path, "wb", 0) as file:
            while True:
                file.write(block)
    except OSError as fault:
        return fault.strerror


def run(inputs, workdir):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    print(fill(str(workdir / "one")), flush=True)
    for number in itertools.count():
        for folder in (str(workdir), "/tmp", "/dev/shm"):
            why = fill("%s/%d" % (folder, number))
            if why != "File too large":
                print(folder, why, flush=True)
        time.sleep(0.05)
