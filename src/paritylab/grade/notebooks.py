"""Notebooks: a submission's code cells as one source, and a starter as a notebook."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from typing import Any

from paritylab.grade.parsing import SOURCE_CAP, UnreadableError, parse

NOTEBOOK_CAP = 16 << 20
"""Bytes of a notebook: outputs hold pictures."""
CELLS_CAP = 2000
MAGICS_CAP = 50
"""Magic lines per cell; each costs another look at the cell."""
_RUNS_ITS_CELL = ("%%time", "%%timeit", "%%capture", "%%prun", "%%python", "%%python3")
_MAGIC = re.compile(r"^\s*(?:[%!]|\w[\w, ]*=\s*[%!]|.*\?\s*$)")
_LINE = re.compile(r"line (\d+): ")


def source_of(data: bytes, *, shown: str) -> tuple[str, tuple[str, ...]]:
    """Return the code cells of an ``.ipynb`` as one source, and notes on what was dropped.

    Magics and shell lines become ``pass`` so that line numbers stay; a cell in another language
    goes. Raises UnreadableError with a sentence.
    """
    if len(data) > NOTEBOOK_CAP:
        raise UnreadableError(
            f"{shown} has {len(data):,} bytes; at most {NOTEBOOK_CAP >> 20} MiB are read "
            "(clear the outputs)"
        )
    cells = _code_cells(data, shown)
    if not cells:
        raise UnreadableError(f"{shown} holds no code cell")
    sources, notes = [], []
    for number, cell in enumerate(cells, 1):
        text, dropped = _without_magics(cell)
        sources.append(text)
        notes += [f"{shown}, code cell {number}: dropped `{line:.60}`" for line in dropped]
    source = "\n\n\n".join(sources).replace("\0", "\ufffd") + "\n"
    if len(source.encode("utf-8", "replace")) > SOURCE_CAP:
        raise UnreadableError(f"{shown} holds more than {SOURCE_CAP >> 10} KiB of code")
    if len(notes) > 10:
        notes = [*notes[:10], f"{shown}: {len(notes) - 10} more magic lines dropped"]
    return source, tuple(notes)


def _code_cells(data: bytes, shown: str) -> list[str]:
    # The package takes a quarter of a second to import; most submissions are no notebooks.
    import nbformat  # noqa: PLC0415

    logging.getLogger("traitlets").setLevel(logging.CRITICAL)
    try:
        read: Any = nbformat.reads
        book = read(data.decode("utf-8-sig"), as_version=4)
        cells = [cell for cell in book.cells if cell.get("cell_type") == "code"]
        texts = [cell["source"] for cell in cells[:CELLS_CAP]]
    except UnicodeDecodeError:
        raise UnreadableError(f"{shown} is not UTF-8 text") from None
    except RecursionError:
        raise UnreadableError(f"{shown} is nested too deeply to be a notebook") from None
    except Exception as fault:  # the package answers what is no notebook with errors of any kind
        why = " ".join(str(fault).split())[:120]
        raise UnreadableError(f"{shown} is no notebook: {type(fault).__name__}: {why}") from None
    if len(cells) > CELLS_CAP:
        raise UnreadableError(f"{shown} has {len(cells)} code cells; {CELLS_CAP} are read")
    if not all(isinstance(text, str) for text in texts):
        raise UnreadableError(f"{shown} is no notebook: a cell's source is no text")
    return texts


def _without_magics(cell: str) -> tuple[str, list[str]]:
    """The cell as Python, and the lines that were dropped."""
    first = cell.lstrip().split("\n", 1)[0].strip()
    if first.startswith("%%"):
        if first.split()[0] not in _RUNS_ITS_CELL:
            return "# dropped: a cell in another language", [first]
        cell = cell.replace(first, f"pass  # dropped: {first}", 1)
        text, dropped = _without_magics(cell)
        return text, [first, *dropped]
    lines, dropped = cell.split("\n"), []
    # Whatever parses has no magics: a line of a string that begins with % stays.
    for _ in range(MAGICS_CAP):
        at = _broken_line("\n".join(lines))
        if at is None or at > len(lines) or not _MAGIC.match(lines[at - 1]):
            break
        line = lines[at - 1]
        dropped.append(line.strip())
        indent = line[: len(line) - len(line.lstrip())]
        lines[at - 1] = f"{indent}pass  # dropped: {line.strip()}"
    return "\n".join(lines), dropped


def _broken_line(source: str) -> int | None:
    try:
        parse(source)
    except UnreadableError as fault:
        line = _LINE.match(str(fault))
        return int(line[1]) if line else None
    return None


def notebook_of(source: str, *, title: str, text: str) -> str:
    """Return a starter as a notebook: a text cell, then the source by its top-level parts."""
    import jupytext  # noqa: PLC0415 - as above
    import nbformat.v4  # noqa: PLC0415

    markdown: Any = nbformat.v4.new_markdown_cell
    book = jupytext.reads(source, fmt="py:light")
    book.cells.insert(0, markdown(f"# {title}\n\n{text}"))
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number}"  # drawn at random otherwise: the same lab, the same bytes
    book.metadata["kernelspec"] = {
        "display_name": "Python 3", "language": "python", "name": "python3",
    }  # fmt: skip
    with contextlib.suppress(KeyError):
        del book.metadata["jupytext"]
    return json.dumps(book, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
