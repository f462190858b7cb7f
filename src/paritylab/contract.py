"""What the files of a lab must look like before anything runs: read, never imported."""

from __future__ import annotations

import ast
from pathlib import Path

from paritylab.errors import CatalogError, nearest
from paritylab.model import Lab


def check_sources(lab: Lab) -> None:
    """Raise CatalogError unless each file parses and defines what the contract asks for."""
    _check_functions(lab.scenario, ("inputs", "oracle"))
    for implementation in lab.implementations.values():
        if implementation.source:
            _check_functions(implementation.source, lab.stages)
    shown = f"labs/{lab.slug}/README.md"
    if not _text(lab.folder / "README.md", shown).strip():
        raise CatalogError(
            "a lab needs its lesson",
            where=shown,
            fix="write README.md: what to notice, what the guide gets wrong today, exercises",
        )


def check_rubric(lab: Lab, root: Path, shown: str) -> None:
    """Raise CatalogError, with its key, where a rubric asks for what the lab does not have."""
    if lab.rubric is None:
        return
    for name in lab.rubric.implementations:
        reason = lab.implementations[name].unsupported
        if reason:
            raise CatalogError(
                f"{name} is declared unsupported",
                where=f"{shown}: grading.implementations",
                why=reason,
            )
    environments = [path.parent.name for path in root.glob("environments/*/environment.toml")]
    if lab.rubric.environment not in environments:
        raise CatalogError(
            f"unknown environment `{lab.rubric.environment}`",
            where=f"{shown}: grading.environment",
            why=nearest(lab.rubric.environment, environments),
        )
    if not any(spec.points for spec in lab.outputs.values()):
        raise CatalogError(
            "no output has points", where=f"{shown}: outputs", why="there is a [grading] table"
        )


def _text(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CatalogError("the file is missing", where=shown) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise CatalogError("cannot be read as UTF-8 text", where=shown, why=str(fault)) from None


def _check_functions(path: Path, names: tuple[str, ...]) -> None:
    shown = f"labs/{path.parent.name}/{path.name}"
    try:
        tree = ast.parse(_text(path, shown), filename=shown)
    except (SyntaxError, ValueError, RecursionError) as fault:
        line = getattr(fault, "lineno", None)
        raise CatalogError(
            "not valid Python", where=f"{shown}:{line}" if line else shown, why=str(fault)
        ) from None
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name in names:
        if name not in defined:
            raise CatalogError(
                f"function `{name}` is missing",
                where=shown,
                why=nearest(name, defined) if defined else "the file defines no function",
            )
