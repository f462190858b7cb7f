"""Planted: settings found beside the home folder."""

import os
import zlib


def run(inputs, workdir):
    name = os.path.basename(os.path.expanduser("~"))
    return {"value": float(zlib.crc32(name.encode()) % 997)}
