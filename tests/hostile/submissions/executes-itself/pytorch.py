import os
import sys


def run(inputs, workdir):
    program = "import os; print('another', os.listdir('/proc/self/fd'), flush=True)"
    os.execv("/proc/self/exe", [sys.executable, "-c", program])
