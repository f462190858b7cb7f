"""Pages of the Python reference: one per module or package of ours, filled from docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
APART = ("cli", "__main__", "pytest_plugin")
"""The front ends: the command line has a page of its own."""


def modules() -> dict[str, list[str]]:
    """Return the modules of each page: page -> dotted names, both sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in APART or "_shipped" in parts or not _documented(path):
            continue
        inner = [part for part in parts if part != "__init__"]
        page = inner[0] if inner else "paritylab"
        found.setdefault(page, []).append(".".join(["paritylab", *inner]))
    return found


def _documented(path: Path) -> bool:
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) is not None


def pages() -> Iterator[tuple[str, str]]:
    """Yield each page's name and Markdown."""
    for page, names in modules().items():
        title = f"# `{names[0]}`\n\n"
        yield page, title + "\n\n".join(f"::: {name}" for name in names) + "\n"
