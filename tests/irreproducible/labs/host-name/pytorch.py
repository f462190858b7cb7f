"""Planted: a split chosen by the machine's name."""

import socket
import zlib


def run(inputs, workdir):
    return {"value": float(zlib.crc32(socket.gethostname().encode()) % 997)}
