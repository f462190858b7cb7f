"""Planted: rows sorted by the hash of their full path."""

import os
import zlib


def run(inputs, workdir):
    return {"value": float(zlib.crc32(os.getcwd().encode()) % 9973)}
