"""Which dotted names a program uses, through imports, aliases and literal look-ups; from the tree.

Scopes and order are not followed: a name that is bound twice stands for both. Nothing is run, so a
name that is computed (``getattr(tf, some_variable)``) stays unseen: this is how a rubric reads a
program, not a wall. The wall is the sandbox.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ROUNDS = 8
"""How often aliases of aliases are followed."""
CANDIDATES = 4
"""How many meanings one expression may have; more are dropped."""
USUAL = {"tf": "tensorflow", "np": "numpy"}
"""What these names mean in a rubric, whatever a program calls its modules."""
LONGEST = 12
"""Dots in the longest name that is followed."""
IMPORTERS = {"__import__", "builtins.__import__", "importlib.import_module"}
_SAME = ("tensorflow.compat.v1.", "tensorflow.compat.v2.")


@dataclass(frozen=True)
class Use:
    """A dotted name, the line where a program uses it, and whether that is an import."""

    name: str
    line: int
    imported: bool


def canonical(name: str) -> str:
    """Return a rubric's name with the usual aliases spelt out: ``tf.function`` in full."""
    head, dot, rest = name.partition(".")
    return USUAL.get(head, head) + dot + rest


def uses(tree: ast.Module) -> list[Use]:
    """Return every dotted name that a program uses, with its first line, in their order.

    Source code in literals that goes to ``exec``, ``eval`` or ``compile`` counts too.
    """
    trees = list(_with_literals(tree))
    names = _Names()
    for _ in range(ROUNDS):
        before = names.size
        for one in trees:
            names.learn(one)
        if names.size == before:
            break
    first: dict[tuple[str, bool], int] = {}
    for one in trees:
        for name, line, imported in names.uses(one):
            if line < first.get((name, imported), line + 1):
                first[name, imported] = line
    found = [Use(name, line, imported) for (name, imported), line in first.items()]
    return sorted(found, key=lambda use: (use.line, use.name, use.imported))


def _with_literals(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        code = _text(node.args[0])
        if node.func.id in ("exec", "eval", "compile") and code is not None:
            try:
                inner = ast.parse(code)
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                continue
            for part in ast.walk(inner):
                if hasattr(part, "lineno"):
                    part.lineno = node.lineno
            yield inner


def _text(node: ast.AST) -> str | None:
    """The value of a literal string, also of literals that are added up."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None or right is None else left + right
    return None


class _Names:
    """What each plain name may stand for."""

    def __init__(self) -> None:
        self._meanings: dict[str, set[str]] = {}
        self._stars: set[str] = set()
        self._resolved: dict[int, set[str]] = {}

    @property
    def size(self) -> int:
        """How much is known; grows until there is nothing more to learn."""
        return sum(map(len, self._meanings.values())) + len(self._meanings) + len(self._stars)

    def learn(self, tree: ast.AST) -> None:
        """Note what the statements of ``tree`` bind."""
        self._resolved.clear()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value)
            elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                self._assign(node.target, node.value)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._bind(node.id, set())
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._bind(node.name, set())
            elif isinstance(node, ast.arg):
                self._bind(node.arg, set())

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                top = alias.name.partition(".")[0]
                self._bind(alias.asname or top, {alias.name if alias.asname else top})
            elif alias.name == "*":
                self._stars.add(node.module or "")
            else:
                self._bind(alias.asname or alias.name, {_joined(node.module, alias.name)})

    def uses(self, tree: ast.AST) -> Iterator[tuple[str, int, bool]]:
        """Every resolved expression and every import of ``tree``: name, line, whether imported."""
        self._resolved.clear()
        for node in ast.walk(tree):
            line = getattr(node, "lineno", 0)
            if isinstance(node, ast.Import):
                yield from ((alias.name, line, True) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names = (_joined(node.module, a.name) for a in node.names if a.name != "*")
                yield from ((name, line, True) for name in (node.module, *names) if name)
            elif isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
                imported = self._imports(node)
                for name in self.resolve(node):
                    yield name, line, imported
                    if name.startswith(_SAME):
                        yield _plain(name), line, imported

    def resolve(self, node: ast.AST) -> set[str]:
        """The dotted names that an expression may stand for; empty where it cannot be told."""
        # Remembered, or look-ups in look-ups would take twice as long for every level.
        if id(node) not in self._resolved:
            self._resolved[id(node)] = self._resolve(node)
        return self._resolved[id(node)]

    def _resolve(self, node: ast.AST) -> set[str]:
        trail: list[str] = []
        while isinstance(node, ast.Attribute):
            trail.append(node.attr)
            node = node.value
            if len(trail) > LONGEST:
                return set()
        suffix = "".join(f".{name}" for name in reversed(trail))
        names = (f"{name}{suffix}" for name in sorted(self._root(node)))
        short = (name for name in names if name.count(".") <= LONGEST)
        return set(itertools.islice(short, CANDIDATES))

    def _imports(self, node: ast.AST) -> bool:
        """True for a call or look-up whose value is a module, named by a string."""
        if isinstance(node, ast.Call):
            return bool(self.resolve(node.func) & IMPORTERS)
        return isinstance(node, ast.Subscript) and "sys.modules" in self.resolve(node.value)

    def _root(self, node: ast.AST) -> set[str]:
        if isinstance(node, ast.Name):
            stars = {_joined(star, node.id) for star in self._stars}
            return self._meanings.get(node.id, {node.id} | stars)
        if isinstance(node, ast.Call):
            return self._called(node)
        if isinstance(node, ast.Subscript):
            return self._looked_up(node)
        return set()

    def _called(self, node: ast.Call) -> set[str]:
        arguments = [_text(argument) for argument in node.args]
        function = self.resolve(node.func)
        if arguments and arguments[0] and function & IMPORTERS:
            name = arguments[0].lstrip(".")
            return {name, name.partition(".")[0]}
        if "getattr" in function and len(arguments) >= 2 and arguments[1]:
            return {f"{name}.{arguments[1]}" for name in self.resolve(node.args[0])}
        return set()

    def _looked_up(self, node: ast.Subscript) -> set[str]:
        key = _text(node.slice)
        if not key:
            return set()
        tables = self.resolve(node.value)
        if isinstance(node.value, ast.Call) and self.resolve(node.value.func) & {"vars"}:
            tables = {f"{n}.__dict__" for a in node.value.args[:1] for n in self.resolve(a)}
        inside = {name.removesuffix(".__dict__") for name in tables if name.endswith(".__dict__")}
        return {f"{name}.{key}" for name in inside} | ({key} if "sys.modules" in tables else set())

    def _assign(self, target: ast.AST, value: ast.AST) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, self.resolve(value))
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, other in zip(target.elts, value.elts, strict=False):
                self._assign(one, other)

    def _bind(self, name: str, meanings: Iterable[str]) -> None:
        known = self._meanings.setdefault(name, set())
        for meaning in sorted(meanings):
            if len(known) < CANDIDATES:
                known.add(meaning)


def _joined(module: str | None, name: str) -> str:
    return f"{module}.{name}" if module else name


def _plain(name: str) -> str:
    """The name that a compat layer repeats: ``tensorflow.function`` for the one in compat.v1."""
    return "tensorflow." + name.split(".", 3)[3]
