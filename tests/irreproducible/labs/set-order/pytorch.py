"""Planted: layers kept in a set."""


def run(inputs, workdir):
    layers = {"dense", "dropout", "relu", "softmax", "conv", "pool", "flatten"}
    value = 0.0
    for place, layer in enumerate(layers):
        value += place * len(layer) ** 2
    return {"value": value}
