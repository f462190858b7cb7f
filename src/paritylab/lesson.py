"""A lab as a person reads it: its README, then the programs side by side."""

from __future__ import annotations

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from paritylab.model import Comparison, Lab, LabImplementation, OutputSpec

CODE_WIDTH = 84  # 79 columns of code, line numbers left out, and the frame


def lesson(lab: Lab) -> RenderableType:
    """The whole lesson; the programs stand side by side where the terminal is wide enough."""
    readme = (lab.folder / "README.md").read_text(encoding="utf-8")
    return Group(
        Markdown(readme),
        Text(),
        Programs(lab),
        outputs_table(lab),
    )


class Programs:
    """A lab's programs: as many side by side as fit, at least one."""

    def __init__(self, lab: Lab) -> None:
        self.programs = [_program(one) for one in lab.implementations.values()]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the programs out for the width at hand."""
        if options.max_width >= 2 * CODE_WIDTH:
            yield Columns(self.programs, width=CODE_WIDTH)
        else:
            yield from self.programs


def _program(implementation: LabImplementation) -> RenderableType:
    if implementation.source is None:
        return Panel(Text(f"unsupported: {implementation.unsupported}"), title=implementation.name)
    code = implementation.source.read_text(encoding="utf-8")
    return Panel(Syntax(code, "python", word_wrap=True), title=implementation.source.name)


def outputs_table(lab: Lab) -> Table:
    """What the lab answers and how exactly."""
    table = Table(title="Outputs", title_justify="left")
    for heading in ("output", "dtype", "shape", "compared", "why"):
        table.add_column(heading)
    for spec in lab.outputs.values():
        facts = (spec.name, spec.dtype, str(list(spec.shape)), rule(spec), spec.why)
        table.add_row(*(escape(fact) for fact in facts))
    return table


def rule(spec: OutputSpec) -> str:
    """Return how an output is compared, ``exact`` or ``rtol 1e-06, atol 4e-07``."""
    if spec.compare is not Comparison.CLOSE:
        return str(spec.compare)
    parts = (("rtol", spec.rtol), ("atol", spec.atol))
    return ", ".join(f"{name} {value:g}" for name, value in parts if value)
