"""Planted: a seed from the wall clock."""

import time


def run(inputs, workdir):
    return {"value": time.time() % 1000.0}
