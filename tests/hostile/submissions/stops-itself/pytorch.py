import os
import signal


def run(inputs, workdir):
    print("stopping", flush=True)
    os.killpg(0, signal.SIGSTOP)
