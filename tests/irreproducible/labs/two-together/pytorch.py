"""Planted: an error that shows only where two changes meet."""

import os
import time


def run(inputs, workdir):
    abroad = os.environ.get("LANG", "C").startswith("de")
    shifted = time.localtime(0).tm_hour != 0
    return {"value": 1.5 if abroad and shifted else 1.0}
