import numpy as np


def run(inputs, workdir):
    names = (
        "<script>alert(1)</script>", "../../../../etc/passwd", "loss\u202e", "loss ", "=1+1",
        "[/red]", "{{7*7}}", "lоss",
    )  # fmt: skip
    return {name: np.zeros(1, np.float32) for name in names}
