"""A new lab, or a course of its own, that already keeps the contract: change it step by step."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from string import Template

from paritylab import catalog
from paritylab.accept import accept
from paritylab.catalog import SLUG
from paritylab.errors import UsageError, nearest
from paritylab.shipped import shipped

FIRST_LAB = "first-lab"
COURSE_FILES = {
    "README.md.template": "README.md",
    "noxfile.py.template": "noxfile.py",
    "gitignore.template": ".gitignore",
    "labs.yml.template": ".github/workflows/labs.yml",
}


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
    environment, graded = _graded_on(root)
    facts = {
        "slug": slug,
        "title": slug.replace("-", " ").capitalize(),
        "environment": environment,
        "graded": json.dumps(graded),
    }
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


def _graded_on(root: Path) -> tuple[str, list[str]]:
    """The environment that runs most implementations (the last of several), and which."""
    found: list[tuple[str, list[str]]] = [
        (path.parent.name, [n for n, said in runs.items() if not said.get("unsupported")])
        for path in sorted(root.glob("environments/*/environment.toml"))
        if (runs := tomllib.loads(path.read_text(encoding="utf-8")).get("implementations", {}))
    ]
    if not found:
        raise UsageError("the project has no environment", fix="paritylab new-course PATH")
    return max(reversed(found), key=lambda one: len(one[1]))


def new_course(folder: Path, environments: Collection[str] = ()) -> Path:
    """Write a course's repository into ``folder``, which must not hold anything, and return it.

    It gets one lab that works, our environments (or those named) as its own, the matrix as pytest
    tests, a noxfile and a workflow. Raises UsageError for a folder in use or an unknown name; a
    half-written folder is never left.
    """
    ours = shipped("environments")
    known = sorted(path.parent.name for path in ours.glob("*/environment.toml"))
    for name in environments:
        if name not in known:
            raise UsageError(f"unknown environment `{name}`", why=nearest(name, known))
    target = folder.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{folder} is not empty", fix="name a folder that is not there yet")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _fill(partial, target.name)
        for name in environments or known:
            shutil.copytree(ours / name, partial / "environments" / name, ignore=_CACHES)
        _first_lab(partial)
        partial.chmod(0o755)
        os.replace(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


_CACHES = shutil.ignore_patterns("__pycache__", "*.pyc")


def _fill(folder: Path, title: str) -> None:
    texts = files("paritylab") / "course"
    for source, target in COURSE_FILES.items():
        text = (texts / source).read_text(encoding="utf-8")
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).safe_substitute(title=title), encoding="utf-8")
    shutil.copytree(shipped("tests/labs"), folder / "tests/labs", ignore=_CACHES)


def _first_lab(folder: Path) -> None:
    """A lab whose expected values are the oracle's: right without any framework at hand."""
    (folder / "labs").mkdir()
    new_lab(folder, FIRST_LAB)
    accept(catalog.load(folder, labs=[FIRST_LAB]).labs[FIRST_LAB], [], []).write()
