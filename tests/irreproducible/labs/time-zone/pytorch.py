"""Planted: days that begin at another hour elsewhere."""

import time


def run(inputs, workdir):
    return {
        "value": float(
            time.localtime(1_700_000_000).tm_yday * 24 + time.localtime(1_700_000_000).tm_hour
        )
    }
