import os


def run(inputs, workdir):
    block = b"flood " * 10000
    while True:
        os.write(1, block)
        os.write(2, block)
