import os
import signal


def run(inputs, workdir):
    try:
        os.kill(-1, signal.SIGKILL)  # not oneself, says POSIX
    except ProcessLookupError:
        print("nobody else", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
