import os


def run(inputs, workdir):
    os.write(1, bytes(range(256)) * 10 + b"\xf0\x9f")
    os.write(2, b"\xff\xfe\x00\x80" * 1000)
    return {}
