"""Planted: numbers read as the user's country writes them."""

import os


def run(inputs, workdir):
    language = (os.environ.get("LC_ALL") or os.environ.get("LANG", "C"))[:2]
    comma = language in ("de", "fr", "it", "es")
    text = "1.250"
    return {"value": float(text.replace(".", "") if comma else text)}
