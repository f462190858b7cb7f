"""Planted: a schedule that looks at the calendar."""

import datetime


def run(inputs, workdir):
    return {"value": 0.5 ** (datetime.date.today().year - 2000)}
