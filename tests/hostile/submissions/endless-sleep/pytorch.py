import time


def run(inputs, workdir):
    time.sleep(100000)
