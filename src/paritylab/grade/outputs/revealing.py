"""What a student may see of the hidden inputs: one rule for every file that reaches students."""

from __future__ import annotations

from paritylab.grade.model import Check, Grade, Reveal


def shows_values(check: Check, reveal: Reveal) -> bool:
    """Whether expected and computed values of this check may be shown."""
    return reveal is Reveal.ALL or (reveal is Reveal.FAILED and not check.passed)


def shows_prints(grade: Grade, reveal: Reveal) -> bool:
    """Whether what the program printed may be shown: it can hold any value of any check.

    With ``failed`` only where no output was right, so that nothing printed is to be kept back: a
    program that crashed.
    """
    outputs = [check for check in grade.checks if check.kind == "output"]
    nothing_right = all(not check.passed for check in outputs)
    return reveal is Reveal.ALL or (reveal is Reveal.FAILED and bool(outputs) and nothing_right)


def shows_seeds(reveal: Reveal) -> bool:
    """Whether the hidden seeds may be shown: who has them has every expected value."""
    return reveal is Reveal.ALL


def values_of(check: Check, grade: Grade, reveal: Reveal) -> str:
    """What may be told of a check with values, or nothing.

    Where there is no divergence the text is the program's own (an exception's message): it can
    hold anything, and is shown only where prints are.
    """
    shown = shows_values(check, reveal) and (
        check.divergence is not None or shows_prints(grade, reveal)
    )
    return check.hidden if shown else ""


def words_of(check: Check, grade: Grade, reveal: Reveal) -> str:
    """What to tell a student about a check: with values where they may be shown."""
    return "\n".join(part for part in (check.words, values_of(check, grade, reveal)) if part)
