import os
import signal
import time


def run(inputs, workdir):
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    print("ignoring", flush=True)
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            while True:  # whoever dies is replaced
                if os.fork() == 0:
                    time.sleep(600)
                time.sleep(0.01)
    while True:
        time.sleep(0.1)
