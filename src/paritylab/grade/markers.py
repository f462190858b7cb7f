"""``# BEGIN SOLUTION`` / ``# END SOLUTION``: from a model solution to what students start with.

The convention of nbgrader and Otter. What stands between two markers is replaced: a block of whole
functions keeps their signatures (decorators go), any other block becomes an error that says which
names are to be defined. The error repeats the section comment above the block.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from paritylab.errors import CatalogError

BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
WIDTH = 79
_MARKER = re.compile(r"^(?P<indent> *)# *(?P<what>BEGIN|END) +SOLUTION *$", re.IGNORECASE)
_SECTION = re.compile(r"^ *# [A-Z]")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Block:
    """One solution: its marker lines (counted from 1), its indentation, and its code."""

    begin: int
    end: int
    indent: str
    code: str

    def holds(self, line: int) -> bool:
        """True for a line between the markers."""
        return self.begin < line < self.end


def blocks(source: str, *, shown: str) -> list[Block]:
    """Return the solutions of a file; ``shown`` names it in messages.

    Raises CatalogError, with the line, for markers that do not pair up, that stand at different
    depths or that hold no code.
    """
    lines, found = source.splitlines(), []
    begun: tuple[int, str] | None = None
    for number, line in enumerate(lines, 1):
        marker = _MARKER.match(line)
        if marker is None:
            continue
        opens, indent = marker["what"].upper() == "BEGIN", marker["indent"]
        if opens and begun:
            raise _fault(shown, number, f"a solution begins inside the one of line {begun[0]}")
        if opens:
            begun = number, indent
            continue
        if begun is None:
            raise _fault(shown, number, f"{END} without {BEGIN}")
        if indent != begun[1]:
            raise _fault(shown, number, f"is not as deep as its {BEGIN} in line {begun[0]}")
        code = "\n".join(lines[begun[0] : number - 1])
        found.append(Block(begin=begun[0], end=number, indent=indent, code=code))
        begun = None
    if begun:
        raise _fault(shown, begun[0], f"{BEGIN} without {END}")
    return found


def starter(source: str, *, shown: str = "the file") -> str:
    """Return what a student starts with: compiles, and fails clearly where code is missing.

    A source without markers comes back as it is. Raises CatalogError as ``blocks`` does, and where
    the file or what is left of it is no Python.
    """
    found = blocks(source, shown=shown)
    tree = _parsed(source, shown)
    lines, out, after = source.splitlines(), [], 1
    for block in found:
        out += lines[after - 1 : block.begin - 1]
        hint = _hint(lines, block)
        functions = _functions(block, shown)
        if functions:
            out += _signatures(block, functions, hint)
        else:
            out += _missing(block.indent, hint, _wanted(tree, block, found))
        after = block.end + 1
    text = "\n".join([*out, *lines[after - 1 :]]) + "\n"
    _parsed(text, f"{shown}, as students get it")
    return text


def _fault(shown: str, line: int, what: str) -> CatalogError:
    return CatalogError(what, where=f"{shown}:{line}", fix=f"pair every {BEGIN} with one {END}")


def _parsed(source: str, shown: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as fault:
        raise CatalogError(
            "not valid Python", where=f"{shown}:{fault.lineno}", why=fault.msg
        ) from None


def _functions(block: Block, shown: str) -> list[Function]:
    """The functions that a block consists of; empty where it holds anything else."""
    try:
        tree = ast.parse(textwrap.dedent(block.code))
    except SyntaxError as fault:
        raise _fault(
            shown, block.begin, f"the solution is no block of its own: {fault.msg}"
        ) from None
    if not tree.body:
        raise _fault(shown, block.begin, "the solution holds no code")
    functions = [node for node in tree.body if isinstance(node, Function)]
    return functions if len(functions) == len(tree.body) else []


def _signatures(block: Block, functions: list[Function], hint: str) -> Iterator[str]:
    """The functions' first lines and docstrings; the rest is to be written."""
    lines = textwrap.dedent(block.code).splitlines()
    for number, function in enumerate(functions):
        if number:
            yield from [""] * (1 if block.indent else 2)
        body = function.body[0]
        head = lines[function.lineno - 1 : body.lineno]
        head[-1] = head[-1][: body.col_offset].rstrip()
        if ast.get_docstring(function):
            head = lines[function.lineno - 1 : body.end_lineno]
        # Decorators are part of the solution; comments above them are not.
        yield from (f"{block.indent}{line}".rstrip() for line in head if line.strip())
        yield from _missing(f"{block.indent}    ", hint, [])


def _missing(indent: str, hint: str, names: list[str]) -> Iterator[str]:
    """Lines that stand for a solution: which names it has to define, and an error that says so."""
    told = "Your code here" + (": define " + ", ".join(names) if names else "")
    yield from textwrap.wrap(
        told, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
    )
    one_line = f"{indent}raise NotImplementedError({json.dumps(hint, ensure_ascii=False)})"
    if len(one_line) <= WIDTH:
        yield one_line
        return
    yield f"{indent}raise NotImplementedError("
    parts = textwrap.wrap(hint, WIDTH - len(indent) - 8, drop_whitespace=False)
    yield from (f"{indent}    {json.dumps(part, ensure_ascii=False)}" for part in parts)
    yield f"{indent})"


def _hint(lines: list[str], block: Block) -> str:
    """The section comment above a block, as one line."""
    for number in range(block.begin - 1, 0, -1):
        line = lines[number - 1]
        # A comment deeper than the block belongs to something else.
        if _SECTION.match(line) and len(line) - len(line.lstrip()) <= len(block.indent):
            if _MARKER.match(line):
                continue
            text = [line.strip("# ")]
            for more in lines[number : block.begin - 1]:
                if not more.lstrip().startswith("#"):
                    break
                text.append(more.strip("# "))
            return " ".join(text)
    return "write this part"


def _wanted(tree: ast.Module, block: Block, found: list[Block]) -> list[str]:
    """Names that a block defines and that lines outside every block use, in order of appearance."""
    scope: ast.AST = tree
    for node in ast.walk(tree):  # breadth first: the last match is the innermost
        inside = isinstance(node, Function) and node.lineno < block.begin
        if inside and (getattr(node, "end_lineno", 0) or 0) >= block.end:
            scope = node
    own = {id(name) for node in ast.walk(scope) for name in _comprehended(node)}
    defined: dict[str, tuple[int, int]] = {}
    used: set[str] = set()
    for node in ast.walk(scope):
        line = getattr(node, "lineno", 0)
        place = (line, getattr(node, "col_offset", 0))
        if isinstance(node, Function | ast.ClassDef) and block.holds(line):
            defined[node.name] = min(place, defined.get(node.name, place))
        elif not isinstance(node, ast.Name) or id(node) in own:
            continue
        elif isinstance(node.ctx, ast.Store) and block.holds(line):
            defined[node.id] = min(place, defined.get(node.id, place))
        elif isinstance(node.ctx, ast.Load) and not any(other.holds(line) for other in found):
            used.add(node.id)
    return sorted(defined.keys() & used, key=lambda name: (defined[name], name))


def _comprehended(node: ast.AST) -> Iterator[ast.Name]:
    """The names that a comprehension binds for itself."""
    if isinstance(node, ast.comprehension):
        yield from (part for part in ast.walk(node.target) if isinstance(part, ast.Name))
