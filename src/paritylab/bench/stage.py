"""A stage of figure (g) in a process of its own, and its clock; see ``growth``."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path

Work = Callable[[], object]


def run(module: str, stage: str, clock: str, count: int, told: str) -> None:
    """Do ``module.stage`` for a project of so many cells; write its seconds to the file ``told``.

    The imports, and what the stage prepares, are done before the clock starts: one of ``time``.
    """
    work: Work = getattr(importlib.import_module(module), stage)(count)
    now: Callable[[], float] = getattr(time, clock)
    begun = now()
    work()
    Path(told).write_text(str(now() - begun))
