"""Folders that a command writes anew: what an earlier run left there goes, nothing else ever."""

from __future__ import annotations

import shutil
from pathlib import Path

from paritylab.errors import UsageError

MARK = ".written-by-paritylab"
"""The file that tells a folder of ours; what is in a folder without it is somebody's work."""


def check_ours(folder: Path) -> None:
    """Raise UsageError for a folder with files that no run of ours wrote, and for a file."""
    if folder.exists() and not folder.is_dir():
        raise UsageError("is no folder", where=str(folder), fix="name a folder that is new")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise UsageError(
            "there are files here that paritylab did not write; it would remove them",
            where=str(folder),
            fix="name a folder that is new or empty, or remove this one yourself",
        )


def renew(folder: Path) -> Path:
    """Return ``folder``, made, and empty but for ``MARK``.

    Raises UsageError as ``check_ours`` does, and then touches nothing.
    """
    check_ours(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (folder / MARK).touch()
    return folder
