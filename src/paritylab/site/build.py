"""Markdown -> pages, by MkDocs; every warning is an error."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from paritylab.commands import Command, run
from paritylab.errors import UsageError
from paritylab.folders import renew


def build(tree: Path, target: Path) -> Path:
    """Make the pages of ``tree`` in ``target`` and return the first one.

    Strict: a dead link, a page outside the navigation or a docstring that cannot be read stops it.
    Raises UsageError where MkDocs is not installed or refuses, and for a ``target`` with files of
    somebody else.
    """
    if importlib.util.find_spec("material") is None or importlib.util.find_spec("mkdocs") is None:
        raise UsageError(
            "the site needs MkDocs", fix="pip install 'paritylab[site]', or nox -s site"
        )
    renew(target)
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--clean"]
    argv += ["--config-file", str(tree / "mkdocs.yml"), "--site-dir", str(target.absolute())]
    run(
        Command(
            argv=argv,
            what="the site cannot be made",
            fix="the lines above name page and link; the sources are labs/, docs/ and docstrings",
            error=UsageError,
            environment={**os.environ, "NO_MKDOCS_2_WARNING": "true"},
        )
    )
    return target / "index.html"
