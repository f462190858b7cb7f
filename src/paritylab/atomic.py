"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def write(path: Path, content: str | bytes | Iterable[str | bytes]) -> Path:
    """Write ``content`` (text as UTF-8) beside ``path``, rename it there and return ``path``.

    Pieces are written as they come, so that a large file is nowhere held whole. Folders are made.
    A reader, or a kill at any moment, sees the old file or the new one. Raises OSError, and then
    leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in (content,) if isinstance(content, str | bytes) else content:
                file.write(piece.encode() if isinstance(piece, str) else piece)
        os.chmod(name, 0o666 & ~_umask())  # mkstemp's 0600 would hide a report from a web server
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return path


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
