"""Planted: a seed from the user's name."""

import getpass
import zlib


def run(inputs, workdir):
    return {"value": float(zlib.crc32(getpass.getuser().encode()) % 997)}
