"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write(path: Path, content: str | bytes | Iterable[str | bytes]) -> Path:
    """Write ``content`` (text as UTF-8) beside ``path``, rename it there and return ``path``.

    Pieces are written as they come, so that a large file is nowhere held whole. Folders are made.
    A reader, or a kill at any moment, sees the old file or the new one. Raises OSError, and then
    leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{secrets.token_hex(8)}")
    # Readable for a web server, as far as the umask lets it (which mkstemp does not ask).
    handle = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in (content,) if isinstance(content, str | bytes) else content:
                file.write(piece.encode() if isinstance(piece, str) else piece)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path
