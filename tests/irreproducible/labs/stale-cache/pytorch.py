"""Planted: a cache that nobody empties."""

import pathlib

CACHE = pathlib.Path("/tmp/paritylab-planted-stale-cache")


def run(inputs, workdir):
    if CACHE.exists():
        return {"value": float(CACHE.read_text())}
    CACHE.write_text("0.75")  # rounded for the next run
    return {"value": 0.7512}
