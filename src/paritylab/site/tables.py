"""Tables of the site's pages, as Markdown; whatever comes from labs or runs is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

from paritylab.model import CellResult, Claim, Lab
from paritylab.site.labpage import OutputRow

_MARKUP = re.compile(r"([\\*_\[\]#|~^{}])")
_CODE = re.compile(r"(`[^`]+`)")


def text(value: str) -> str:
    """Return words for a cell of a Markdown table; ``code`` in backticks stays code."""
    parts = _CODE.split(" ".join(value.split()))
    return "".join(
        part.replace("|", "&#124;").replace("<", "\\<") if _CODE.fullmatch(part) else _plain(part)
        for part in parts
    )


def _plain(part: str) -> str:
    escaped = html.escape(part, quote=False)
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", escaped).replace("`", "&#96;")


def code(value: str) -> str:
    """Return ``value`` as code in a table."""
    return f'<code class="short">{_plain(value)}</code>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the entries are Markdown already."""
    lines = [list(headings), ["---"] * len(headings), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def chip(word: str) -> str:
    """Return a verdict in its colours."""
    kind = "taste" if word == "matter of taste" else word
    return f'<span class="v v-{html.escape(kind)}">{html.escape(word)}</span>'


def places(cells: Iterable[CellResult], report: str, keys: Mapping[str, str]) -> str:
    """Where a lab runs: each cell's verdict, linked to its evidence in the report."""
    rows = []
    for cell in cells:
        drift = " (other bits than recorded)" if cell.bit_drift else ""
        used = max(cell.tolerance_used.values(), default=0.0)
        ran = cell.verdict != "unsupported"
        rows.append(
            [
                text(cell.environment),
                text(cell.device),
                text(cell.implementation),
                f"[{chip(cell.verdict)}]({report}#{keys[cell.cell]}){drift}",
                f"{cell.seconds:.2f}" if ran else "",
                f"{used:.0%}" if ran and cell.tolerance_used else "",
                code(cell.digest[:12]) if cell.digest else text(cell.message),
            ]
        )
    heads = ("environment", "device", "program", "verdict", "seconds", "of tolerance", "digest")
    return table(heads, rows)


def environments_of(lab: Lab, cells: Iterable[tuple[str, str, str | None]]) -> str:
    """Where a lab would run, from its declaration: environment, program, reason if it cannot."""
    rows = [
        [text(environment), text(program), text(why or "yes")]
        for environment, program, why in cells
    ]
    return table(("environment", "program", f"runs {lab.slug}"), rows)


def outputs(rows: Iterable[OutputRow]) -> str:
    """What a lab must give, and how exactly."""
    return table(
        ("output", "type", "expected", "compared", "why"),
        ([code(r.name), text(r.kind), text(r.expected), text(r.rule), text(r.why)] for r in rows),
    )


def claims(found: Iterable[tuple[Claim, str]]) -> str:
    """Claims with today's verdict; each comes with Markdown that says where it is checked."""
    return table(
        ("claim", "today", "evidence", "lab"),
        ([text(c.text), chip(c.verdict), text(c.evidence), where] for c, where in found),
    )


def matrix(
    cells: Sequence[CellResult], labs: Iterable[str], report: str, keys: Mapping[str, str]
) -> str:
    """The matrix: labs by environment and implementation, every verdict linked."""
    columns = sorted({(c.environment, c.device, c.implementation) for c in cells})
    found = {(c.lab, c.environment, c.device, c.implementation): c for c in cells}
    rows = []
    for lab in labs:
        row = [f"[{text(lab)}](labs/{lab}.md)"]
        for column in columns:
            cell = found.get((lab, *column))
            row.append(f"[{chip(cell.verdict)}]({report}#{keys[cell.cell]})" if cell else "")
        rows.append(row)
    heads = (f"{text(e)} {text(d)}<br>{text(i)}" for e, d, i in columns)
    return table(("lab", *heads), rows)
