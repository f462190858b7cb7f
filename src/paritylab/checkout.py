"""What git tells of the project that a result is of."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from paritylab.commands import Command, Finished, try_run

TOLD = 40
"""Changed files that are named."""
GIT_SECONDS = 30.0
FOLDERS = ("labs", "environments", "docker", "src")
"""What a verdict may depend on; results and notes that lie beside it are no change."""
ANNOUNCED = ("GITHUB_SHA", "CI_COMMIT_SHA")
"""Variables of CI systems that name the commit where a job's checkout has no .git."""


def project(root: Path) -> dict[str, Any]:
    """The checkout's commit, and which files differ from it (``dirty`` None: nobody can tell)."""
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=normal")
    if commit is None or changed is None:
        return {"commit": None, "dirty": None, "changed": [], "why": "git tells nothing here"}
    lines = changed.splitlines()
    return {"commit": commit.strip(), "dirty": bool(lines), "changed": lines[:TOLD], "why": ""}


def origin(root: Path) -> dict[str, str | bool | None]:
    """What results.json says of the project: commit, dirtiness, and the changes' SHA-256.

    ``changes`` covers what differs from the commit in ``FOLDERS``, new files included, so that two
    dirty checkouts can be told apart; None where nothing does. ``commit`` is None where neither
    git nor the CI system tells it, ``dirty`` where git does not.
    """
    commit = _git(root, "rev-parse", "HEAD")
    folders = [name for name in FOLDERS if (root / name).is_dir()]
    listed = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", *folders)
    if commit is None or listed is None:
        told = next((os.environ[name] for name in ANNOUNCED if os.environ.get(name)), None)
        return {"commit": told, "dirty": None, "changes": None}
    if not listed:
        return {"commit": commit.strip(), "dirty": False, "changes": None}
    edited = _git(root, "diff", "--name-only", "--relative", "-z", "HEAD", "--", *folders) or ""
    new = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *folders) or ""
    digest = hashlib.sha256()
    for name in sorted({*edited.split("\0"), *new.split("\0")} - {""}):
        path = root / name
        content = path.read_bytes() if path.is_file() else None
        size = "gone" if content is None else len(content)
        digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape") + (content or b""))
    return {"commit": commit.strip(), "dirty": True, "changes": digest.hexdigest()}


def _git(root: Path, *arguments: str) -> str | None:
    command = Command(argv=["git", "-C", str(root), *arguments], what="git failed")
    finished: Finished = try_run(command, timeout=GIT_SECONDS)
    return None if finished.status else finished.stdout
