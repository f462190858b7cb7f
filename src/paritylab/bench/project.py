"""A project of any size for the benchmark: labs that compute next to nothing, real on disk.

Ten cells per lab (two implementations, five environments of NumPy alone) in the proportion of the
real matrix; nothing but the number of labs differs between sizes. They have no curves: the page's
pictures are drawn by lab (a tenth of a second each) and would hide everything else.
"""

from __future__ import annotations

from pathlib import Path

from paritylab import catalog
from paritylab.accept import accept

CELLS_PER_LAB = 10
IMPLEMENTATIONS = ("pytorch", "tf2")
"""Those that run; to be named in every selection, for a catalog knows of a third."""
_ENVIRONMENTS = 5
_LAB = """\
title = "Double three numbers"
guide = "none: made for the benchmark"

[outputs.doubled]
dtype = "float32"
shape = [3]
compare = "close"
rtol = 1e-6
why = "one rounding"

[implementations.tf1]
unsupported = "made for the benchmark: two implementations"
"""
_SCENARIO = '''\
"""Double three numbers."""

import numpy as np


def inputs(seed):
    x = np.random.RandomState(seed).rand(3).astype(np.float32)
    return {"x": x}


def oracle(inputs):
    return {"doubled": 2 * inputs["x"].astype(np.float64)}
'''
_PROGRAM = '''\
"""Double three numbers."""


def run(inputs, workdir):
    return {"doubled": inputs["x"] + inputs["x"]}
'''
_ENVIRONMENT = """\
title = "NumPy alone"
python = "3.11"

[devices.cpu]
base = "python@sha256:{zeros}"
tag = "none: it is never built"

[profiles.portable]
OMP_NUM_THREADS = "1"

[profiles.native]

[implementations.pytorch]
preload = ["numpy"]

[implementations.tf1]
unsupported = "made for the benchmark: two implementations"

[implementations.tf2]
preload = ["json"]
"""


def write_project(root: Path, cells: int) -> Path:
    """Write a project with so many cells that run (a multiple of ten) and return its folder."""
    for number in range(_ENVIRONMENTS):
        folder = root / "environments" / f"made-{number}"
        folder.mkdir(parents=True)
        (folder / "environment.toml").write_text(_ENVIRONMENT.format(zeros="0" * 64))
        (folder / "cpu.in").write_text("numpy==2.2.6\n")
    files = {
        "lab.toml": _LAB,
        "scenario.py": _SCENARIO,
        "pytorch.py": _PROGRAM,
        "tf2.py": _PROGRAM,
        "README.md": "Twice is once more.\n",
    }
    for number in range(cells // CELLS_PER_LAB):
        folder = root / "labs" / f"lab-{number:05}"
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        if number == 0:
            accept(catalog.load(root).labs[folder.name], [], []).write()
            files["expected.json"] = (folder / "expected.json").read_text()
    return root
