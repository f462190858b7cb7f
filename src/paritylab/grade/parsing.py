"""Source text of strangers -> syntax tree, inside bounds; nothing here runs or imports it.

CPython's own parser guards its stack (too deep is an error, not a crash) as long as it is not given
megabytes; ``tests/unit/test_grade_parsing.py`` feeds it the worst that fits into ``SOURCE_CAP``.
"""

from __future__ import annotations

import ast
import warnings

SOURCE_CAP = 128 << 10
"""Bytes of one source file; the longest lab file has 5,000."""


class UnreadableError(Exception):
    """Text that is no Python; the message is a sentence for the student."""


def parse(source: str) -> ast.Module:
    """Return the tree of ``source``; raises UnreadableError with the line where it breaks."""
    if len(source) > SOURCE_CAP:
        raise UnreadableError(
            f"the source is longer than {SOURCE_CAP >> 10} KiB, which no solution needs"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is no matter of ours
            return ast.parse(source)
    except SyntaxError as fault:
        at = f"line {fault.lineno}: " if fault.lineno else ""
        raise UnreadableError(f"{at}no valid Python: {fault.msg}") from None
    except ValueError as fault:  # NUL bytes, lone surrogates
        raise UnreadableError(f"no valid Python: {fault}") from None
    except (MemoryError, RecursionError):
        raise UnreadableError("nested too deeply to be read") from None
