"""The command line: arguments only; every command is a few calls into the package.

A command's modules are imported when a command line names it. All of them together take seconds,
for which everybody would wait who lists labs or presses the tab key.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module

from paritylab.cli.app import run_app

COMMANDS = {
    "assign": ("assign", "check", "submissions"),
    "audit": ("audit", "audit-power"),
    "bench": ("bench",),
    "build": ("images", "lock", "venvs"),
    "ci": ("matrix", "merge"),
    "cluster": ("bench-cluster", "join"),
    "doctor": ("doctor",),
    "evidence": ("bundle", "diff", "verify"),
    "grade": ("grade",),
    "imagefiles": ("images",),
    "labs": ("claims", "list", "new", "new-course", "pages", "plot", "show"),
    "measure": ("calibrate", "mutants"),
    "report": ("report",),
    "reproduce": ("images",),
    "run": ("accept", "run"),
    "site": ("site",),
}
"""Each module's commands; its order is that of ``--help``."""


def load(words: Iterable[str] = ()) -> None:
    """Import the modules of every command among ``words``, or all where there is none.

    Whatever else a word may be, such as the name of a folder: one module too many does no harm.
    """
    said = set(words)
    named = [module for module, commands in COMMANDS.items() if said.intersection(commands)]
    for module in named or COMMANDS:
        import_module(f"paritylab.cli.{module}")


def main() -> None:
    """Run the command line of this process, or complete the one that a shell asks about."""
    asked = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    # The last word may be the beginning of another command.
    load([*sys.argv[1:], *asked.split()[:-1]])
    run_app()
