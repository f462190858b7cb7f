"""Pinned virtual environments: the engine that needs no Docker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from rich.progress import Progress

from paritylab import venvs
from paritylab.engines.base import Unavailable, no_stack, one_per_stack
from paritylab.engines.local import LocalEngine
from paritylab.model import WorkerKey
from paritylab.progress import Display
from paritylab.turns import together

# LD_PRELOAD is how another CPU is emulated; whoever sets it means every process.
INHERITED = ("PATH", "HOME", "TMPDIR", "LD_PRELOAD", "FAKECPU", "FAKECPU_NOCACHE")


class VenvEngine(LocalEngine):
    """Runs workers in uv-made virtual environments, with a clean set of variables.

    ``progress`` shows what is fetched and installed; without one, a new one on stderr does.
    """

    name = "venv"

    def __init__(self, progress: Progress | None = None) -> None:
        super().__init__()
        self._progress = progress or Display()

    def unavailable(self, key: WorkerKey) -> Unavailable | None:
        """See Engine."""
        return no_stack(key) or venvs.missing(key.environment)

    def prepare(self, keys: list[WorkerKey]) -> None:
        """See Engine."""
        tasks = [
            partial(venvs.ensure, key.environment, key.device, self._progress)
            for key in one_per_stack(self, keys)
        ]
        with self._progress:
            together(tasks)

    def command(self, key: WorkerKey) -> list[str]:
        """See LocalEngine."""
        return [str(venvs.ensure(key.environment, key.device, self._progress)), "-s"]

    def variables(self, key: WorkerKey) -> Mapping[str, str]:
        """See LocalEngine."""
        kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return {**kept, "LANG": "C.UTF-8", **key.variables}
