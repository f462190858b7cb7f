"""The command line: arguments only; every command is a few calls into the package.

A command's modules are imported when a command line names it. All of them together take seconds,
for which everybody would wait who lists labs or presses the tab key.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from paritylab.cli.app import PROJECT_OPTION, hoisted, run_app

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


def load(words: Sequence[str] = ()) -> None:
    """Import the modules of the command that ``words`` begin with, or of all if there is none."""
    name = _command(words)
    named = [module for module, commands in COMMANDS.items() if name in commands]
    for module in named or COMMANDS:
        import_module(f"paritylab.cli.{module}")


def _command(words: Sequence[str]) -> str | None:
    """The first word that is neither an option nor the folder of ``--labs``."""
    left = iter(hoisted(words))
    for word in left:
        if word == PROJECT_OPTION:
            next(left, None)
        elif not word.startswith("-"):
            return word
    return None


def main() -> None:
    """Run the command line of this process, or complete the one that a shell asks about."""
    asked = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    # Of what is to be completed, the first word is ours and the last one may be half a word.
    load(sys.argv[1:] or asked.split()[1:-1])
    run_app()
