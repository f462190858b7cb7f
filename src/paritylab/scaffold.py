"""A new lab that already keeps the contract: copy, then change one thing at a time."""

from __future__ import annotations

import shutil
import tempfile
from importlib.resources import files
from pathlib import Path
from string import Template

from paritylab.catalog import SLUG
from paritylab.errors import UsageError


def new_lab(root: Path, slug: str) -> Path:
    """Write ``labs/<slug>`` from the template and return it.

    Raises UsageError for a bad or taken name; a half-written folder is never left.
    """
    if not SLUG.match(slug):
        raise UsageError(
            f"`{slug}` is no valid name",
            why="names are lower-case letters, digits and single hyphens",
            fix="paritylab new my-lab",
        )
    target = root / "labs" / slug
    if target.exists():
        raise UsageError(f"labs/{slug} is there already", fix="choose another name")
    facts = {"slug": slug, "title": slug.replace("-", " ").capitalize()}
    partial = Path(tempfile.mkdtemp(prefix=f".{slug}-", dir=root / "labs"))
    try:
        for source in (files("paritylab") / "template").iterdir():
            if source.name.endswith(".template"):
                text = Template(source.read_text(encoding="utf-8")).substitute(facts)
                (partial / source.name.removesuffix(".template")).write_text(text, encoding="utf-8")
        partial.chmod(0o755)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target
