"""What this machine has of what runs need: one line each, with the command that fixes it.

``examine(scope)`` asks every check; ``leftovers.remove`` is what ``paritylab doctor --fix`` does.
"""

from paritylab.doctor.checks import CHECKS, examine
from paritylab.doctor.model import Line, Scope, healthy

__all__ = ["CHECKS", "Line", "Scope", "examine", "healthy"]
