"""paritylab: one deep-learning scenario, three programming models, the same numbers.

From Python: ``paritylab.run("train", implementation="pytorch")`` runs cells and returns a
``RunResult``, which a notebook shows as a table with curves.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paritylab.notebook import RunResult, run

__all__ = ["RunResult", "run"]


def __getattr__(name: str) -> Any:
    # Late, so that `import paritylab` costs nothing: the command line and pytest import parts.
    if name in __all__:
        from paritylab import notebook  # noqa: PLC0415

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
