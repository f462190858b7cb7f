import os
import struct


def run(inputs, workdir):
    header = (
        b'{"kind":"outputs","kind":"error","micros":1e999,"values":[{"name":"loss","kind":"array",'
        b'"dtype":"float32","shape":[' + b"9" * 1000000 + b"]}]}"
    )
    frame = struct.pack(">4sHIQ", b"PLAB", 1, len(header), 0) + header
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.write(int(name), frame)
            except OSError:
                pass
    os._exit(0)
