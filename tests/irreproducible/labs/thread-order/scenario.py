"""Partial sums added as threads finish: nothing is shipped, the program does it all."""


def inputs(seed):
    return {"seed": seed}


def oracle(inputs):
    return {"value": 0.0}
