"""What a submission must and must not use: the rubric's constructs, read from the source.

A rubric for style and honesty, not a security wall: see ``names`` for what it cannot see.
"""

from __future__ import annotations

from dataclasses import dataclass

from paritylab.grade.model import Check
from paritylab.grade.names import Use, canonical, uses
from paritylab.grade.parsing import UnreadableError, parse
from paritylab.rubric import Constructs


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found in one source.

    ``fault`` says why the source cannot be read (then nothing else is known); ``required`` maps
    each required name to the first line that uses it, None where none does; ``forbidden`` are
    sentences that name the construct and the line.
    """

    fault: str = ""
    required: tuple[tuple[str, int | None], ...] = ()
    forbidden: tuple[str, ...] = ()


def inspect(source: str, constructs: Constructs) -> Inspection:
    """Hold a source against the constructs of its implementation; never raises for a source."""
    try:
        found = uses(parse(source))
    except UnreadableError as fault:
        return Inspection(fault=str(fault))
    except RecursionError:
        return Inspection(fault="nested too deeply to be read")
    return Inspection(
        required=tuple((name, _first(name, found)) for name in constructs.require),
        forbidden=tuple(
            f"line {use.line}: {'imports' if use.imported else 'uses'} `{use.name}`; "
            f"`{name}` is not allowed in this assignment"
            for name in constructs.forbid
            if (use := next((u for u in found if _is(u, name)), None))
        ),
    )


def checks(implementation: str, inspection: Inspection, constructs: Constructs) -> list[Check]:
    """The gradebook's lines for an inspection: one per required name, one per forbidden use.

    The points of ``constructs`` are shared evenly by the required names. A forbidden use has none:
    it zeroes the whole implementation, which is the scorer's to do.
    """
    share = constructs.points / max(1, len(constructs.require))
    lines = dict(inspection.required)
    found = [
        Check(
            id=f"{implementation}: must use {name}",
            implementation=implementation,
            kind="construct",
            output="",
            points=share,
            earned=share if lines.get(name) else 0.0,
            verdict="used" if lines.get(name) else "missing",
            words=_words(name, lines.get(name), inspection.fault),
        )
        for name in constructs.require
    ]
    return found + [
        Check(
            id=f"{implementation}: must not use {sentence.rsplit('`', 2)[1]}",
            implementation=implementation,
            kind="construct",
            output="",
            points=0.0,
            earned=0.0,
            verdict="forbidden",
            words=sentence,
        )
        for sentence in inspection.forbidden
    ]


def _words(name: str, line: int | None, fault: str) -> str:
    if line:
        return f"line {line} uses `{name}`"
    return fault or f"no line uses `{name}`, which this assignment asks for"


def _first(name: str, found: list[Use]) -> int | None:
    return next((use.line for use in found if not use.imported and _is(use, name)), None)


def _is(use: Use, name: str) -> bool:
    wanted = canonical(name)
    return use.name == wanted or use.name.startswith(f"{wanted}.")
