"""Links of the repository's Markdown, made into links between the site's pages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

_LINK = re.compile(r"(?P<text>\[[^\]\n]*\])\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^# (?P<title>[^\[\]\n]+)$", re.MULTILINE)
_SCHEME = re.compile(r"^[a-z]+:|^#")


def relinked(text: str, source: str, pages: Mapping[str, str], root: Path) -> str:
    """Return Markdown of ``source`` as it should read on its page.

    ``pages`` maps files of the repository to pages of the site, both with ``/`` from their roots. A
    link to a file that is no page keeps its text alone; one that leads nowhere stays, so that the
    strict build tells it. A link that is called like a file is called like its page.
    """
    here = PurePosixPath(pages[source]).parent

    def replaced(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if _SCHEME.match(match["target"]):
            return match[0]
        file = os.path.normpath(PurePosixPath(source).parent / target)
        if file not in pages:
            return match["text"][1:-1] if (root / file).exists() else match[0]
        page = os.path.relpath(pages[file], here)
        text = _named(match["text"], root / file)
        return f"{text}({page}{'#' if anchor else ''}{anchor})"

    return _LINK.sub(replaced, text)


def _named(text: str, file: Path) -> str:
    """Return a link's text; the page's heading instead of a file's name, which no reader has."""
    if not text.endswith(f"{file.name}]") or file.suffix != ".md":
        return text
    heading = _HEADING.search(file.read_text("utf-8"))
    return f"[{heading['title']}]" if heading else text
