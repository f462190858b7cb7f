"""Planted: files in the order in which the disk gives them."""

import os


def run(inputs, workdir):
    for name in "gradient", "bias", "weight", "moment", "step", "loss", "rate":
        (workdir / name).touch()
    value = 0.0
    for place, name in enumerate(os.listdir(str(workdir))):
        value += place * len(name) ** 2
    return {"value": value}
