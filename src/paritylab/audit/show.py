"""An audit for people at a terminal: the plan, the tiers, what moved and why, what was skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from paritylab.audit.conduct import Prepared
from paritylab.audit.model import Audit, CellAudit, Skipped, Tier
from paritylab.audit.sentences import counted

STYLES = {
    Tier.BITWISE: "bold green",
    Tier.NUMERICAL: "green",
    Tier.STATISTICAL: "green",
    Tier.NONE: "bold red",
    Tier.UNKNOWN: "dim",
}
_MINUTE = 60.0


def outline(prepared: Prepared, *, jobs: int) -> RenderableType:
    """What is going to run, before it does."""
    planned = prepared.planned
    environments = {cell.environment.name for cell in prepared.cells}
    together = [one for one in planned.conditions if len(one.variations) > 1]
    names = [one.variations[0] for one in planned.conditions if len(one.variations) == 1]
    names += [one.name for one in planned.compared]
    text = Text()
    text.append(counted(planned.runs, "run"), style="bold")
    text.append(
        f": {counted(len(prepared.cells), 'cell')} in "
        f"{counted(len(environments), 'environment')}, {counted(len(names), 'variation')} and "
        f"{counted(len(together), 'combination')}; {_duration(prepared)} with {jobs} at a time, "
        "and what the search for causes takes\n"
    )
    text.append(f"variations: {', '.join(names)}", style="dim")
    return Group(text, *_skipped(planned.skipped))


def _duration(prepared: Prepared) -> str:
    """How long the plan may take, and whether that was measured or is a guess."""
    minutes = max(1, round(prepared.seconds / _MINUTE))
    time = "a minute" if minutes == 1 else f"{minutes} minutes"
    new, cells = len(prepared.cells) - prepared.timed, len(prepared.cells)
    if new == cells:
        return f"nothing was timed here yet: very roughly {time}"
    guess = f"; {new} of {cells} cells are a guess, as they were never timed here;" if new else ""
    return f"about {time}{guess}"


def summary(audit: Audit) -> RenderableType:
    """The whole report."""
    parts: list[RenderableType] = [_matrix(audit.cells)]
    told = [one for one in audit.cells if one.tier is not Tier.BITWISE or not one.reached]
    parts += [_cell(one) for one in told if one.tier is not Tier.UNKNOWN]
    parts += _skipped([one for one in audit.skipped if one.variation])
    unsupported = sum(one.variation is None for one in audit.skipped)
    if unsupported:
        parts.append(
            Text(f"{counted(unsupported, 'cell')} unsupported, with a reason", style="dim")
        )
    if audit.partial:
        parts.append(Text(f"PARTIAL: {audit.partial}", style="bold yellow"))
    return Group(*parts, totals(audit))


def totals(audit: Audit) -> Text:
    """One line: how many cells reach which tier, and how many keep what they declare."""
    counts = Counter(one.tier for one in audit.cells)
    text = Text(
        f"{counted(len(audit.observations), 'run')} of {counted(len(audit.cells), 'cell')}: "
    )
    shown = [tier for tier in Tier if counts[tier]]
    for place, tier in enumerate(shown):
        text.append(", " if place else "").append(f"{counts[tier]} {tier}", style=STYLES[tier])
    ran = [one for one in audit.cells if one.tier is not Tier.UNKNOWN]
    kept = sum(one.reached for one in ran)
    style = "green" if kept == len(ran) else "bold red"
    return text.append(f"; {kept} of {len(ran)} keep what they declare", style=style)


def _matrix(cells: Sequence[CellAudit]) -> Table:
    columns = sorted({(one.environment, one.device, one.implementation) for one in cells})
    places = {(one.lab, one.environment, one.device, one.implementation): one for one in cells}
    table = Table(title="Reproducibility", title_justify="left")
    table.add_column("lab", style="bold", no_wrap=True)
    for column in columns:
        table.add_column("\n".join(column))
    for lab in sorted({one.lab for one in cells}):
        table.add_row(lab, *(_entry(places.get((lab, *column))) for column in columns))
    return table


def _entry(one: CellAudit | None) -> Text:
    if one is None:
        return Text("")
    mark = "" if one.reached or one.tier is Tier.UNKNOWN else "!"
    distance = f" {one.max_ulp:,} ULP" if one.tier is Tier.NUMERICAL and one.max_ulp else ""
    return Text(f"{one.tier}{mark}", style=STYLES[one.tier]).append(distance, style="dim")


def _cell(one: CellAudit) -> Text:
    text = Text(f"{one.cell}: ").append(str(one.tier), style=STYLES[one.tier])
    if not one.reached:
        broken = ", ".join(one.broken[:6]) or "any condition"
        text.append(f", less than it declares (under {broken})", style="bold red")
    return text.append(f"\n  {one.sentence}", style="dim")


def _skipped(notes: Sequence[Skipped]) -> list[Text]:
    return [
        Text(
            f"skipped: {one.variation or one.cell}"
            + (f" for {one.cell}" if one.variation and one.cell else "")
            + f": {one.why}"
            + (f"; {one.fix}" if one.fix else ""),
            style="yellow",
        )
        for one in notes
    ]


def plain(text: str) -> str:
    """Text that Rich shows as it is."""
    return escape(text)
