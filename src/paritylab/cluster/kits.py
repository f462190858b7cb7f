"""What a site needs of a project: environments with their locks, and the recipes of images.

A host of a cluster has the package and no checkout. The files travel with a run as text and lie in
the host's cache under the digest of their content. No lab travels: its programs come with the jobs,
and what is right never leaves the machine that judges.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from paritylab import cache, catalog
from paritylab.engines.here import local_environment
from paritylab.errors import WorkerError
from paritylab.model import Environment
from paritylab.shipped import recipes

HERE = "here"
RECIPES = ("Dockerfile", "bootstrap.sh", "install.sh", "tools.in", "tools.lock")
Kit = dict[str, str]


def pack(environments: Iterable[Environment]) -> Kit:
    """Return the text of every file that these environments consist of, by its relative path."""
    kit: Kit = {}
    for one in environments:
        if one.name == HERE:
            continue  # each host's own interpreter
        for path in sorted(one.folder.iterdir()):
            if path.suffix in (".toml", ".in", ".lock"):
                kit[f"environments/{one.name}/{path.name}"] = path.read_text("utf-8")
        recipe = recipes(one.folder.parents[1])
        for path in (recipe / name for name in RECIPES):
            if path.is_file():
                kit[f"docker/{path.name}"] = path.read_text("utf-8")
    return kit


def unpack(kit: Mapping[str, str]) -> Path:
    """Return a folder of this host's cache with the kit's files; made once for each content.

    Raises WorkerError for a path that leads out of it.
    """
    text = json.dumps(dict(kit), sort_keys=True)
    place = cache.folder("cluster") / hashlib.sha256(text.encode()).hexdigest()[:24]
    if place.is_dir():
        return place
    with cache.scratch(place.parent) as folder:
        for name, content in kit.items():
            parts = PurePosixPath(name).parts
            if not parts or ".." in parts or PurePosixPath(name).is_absolute():
                raise WorkerError(f"a kit holds the path {name!r:.80}")
            target = (folder / "kit").joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, "utf-8")
        (folder / "kit").mkdir(exist_ok=True)
        with suppress(OSError):  # another process of this host was faster
            os.rename(folder / "kit", place)
    return place


def environment(place: Path, name: str) -> Environment:
    """Return an environment of an unpacked kit, or this host's own interpreter."""
    if name == HERE:
        return local_environment()
    return catalog.read_environment(place / "environments" / name, place)
