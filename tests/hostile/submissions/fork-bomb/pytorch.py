import os
import time


def run(inputs, workdir):
    told = False
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError as fault:
            if not told:
                print("no more processes:", fault.strerror, flush=True)
            told = True
            time.sleep(0.01)
