"""Programs that read in parallel, as one table: the same section on the same lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from itertools import zip_longest

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from paritylab.grade.markers import BEGIN, END

_SECTION = re.compile(r"^ *# (?P<title>[A-Z][^:(,;]*)")


def shown(source: str) -> str:
    """Return a program as a reader should see it: without the marks of assignments."""
    kept = [line for line in source.splitlines() if line.strip() not in (BEGIN, END)]
    return "\n".join(kept) + "\n"


def aligned(programs: Mapping[str, str]) -> list[tuple[str | None, ...]]:
    """Return rows of one line per program; None where a program has no line.

    Sections that have the same title (a comment such as ``# Network``) begin on the same row; what
    only some programs have stands where they have it.
    """
    divided = [_sections(text.splitlines()) for text in programs.values()]
    rows: list[tuple[str | None, ...]] = []
    for title in _order([list(one) for one in divided]):
        rows += zip_longest(*(one.get(title, []) for one in divided))
    return rows


def _sections(lines: Sequence[str]) -> dict[str, list[str]]:
    """Lines by the title of their section; what comes before the first has the title ''."""
    found: dict[str, list[str]] = {"": []}
    title = ""
    for line in lines:
        match = _SECTION.match(line)
        if match and match["title"].strip() not in found:
            title = match["title"].strip()
            found[title] = []
        found[title].append(line)
    return found


def _order(titles: Sequence[Sequence[str]]) -> list[str]:
    """Every title once, in an order that keeps each program's own as far as they agree."""
    merged: list[str] = list(titles[0]) if titles else []
    for other in titles[1:]:
        parts: list[str] = []
        for kind, a, b, c, d in SequenceMatcher(a=merged, b=other, autojunk=False).get_opcodes():
            parts += merged[a:b]
            parts += [] if kind == "equal" else other[c:d]
        merged = list(dict.fromkeys(parts))
    return merged


def table(programs: Mapping[str, str], *, caption: str) -> str:
    """Return the aligned programs as an HTML table with coloured code, ready for a page."""
    colored = {name: list(_colored(text)) for name, text in programs.items()}
    positions = [iter(lines) for lines in colored.values()]
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in programs)
    body = []
    for row in aligned(programs):
        cells = (
            f"<td><code>{next(position)}</code></td>" if line is not None else "<td></td>"
            for line, position in zip(row, positions, strict=True)
        )
        start = any(line is not None and _SECTION.match(line) for line in row)
        body.append(f"<tr{' class=section' if start else ''}>{''.join(cells)}</tr>")
    return (
        f'<div class="side-by-side highlight" role="region" tabindex="0" '
        f'aria-label="{escape(caption)}" data-search-exclude>'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _colored(text: str) -> Iterator[str]:
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    lines = highlight(text, lexer, HtmlFormatter(nowrap=True)).split("\n")
    yield from lines[: len(text.splitlines())]
