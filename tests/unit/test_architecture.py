"""The house rules of the source, held by tests instead of by memory."""

import ast
import inspect
from pathlib import Path

import pytest
from conftest import PROJECT

from paritylab import errors

SOURCE = PROJECT / "src/paritylab"
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST_FUNCTION = 40
LONGEST_MODULE = 300
LONGEST_WORKER = 850  # it travels to the environments as one file


def module_name(path: Path) -> str:
    """``engines.docker`` for src/paritylab/engines/docker.py."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    """Modules of the package that a file imports when it is imported."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("paritylab"):
            base = (node.module or "").removeprefix("paritylab").lstrip(".")
            names = {f"{base}.{alias.name}".lstrip(".") for alias in node.names}
            known = {module_name(other) for other in MODULES}
            found |= {name if name in known else base for name in names} - {""}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("paritylab.")
                for alias in node.names
                if alias.name.startswith("paritylab.")
            }
    return found


def test_imports_have_no_cycle() -> None:
    """A newcomer can read the package bottom up."""
    graph = {module_name(path): imports_of(path) for path in MODULES}
    done: set[str] = set()
    while len(done) < len(graph):
        free = {n for n, needs in graph.items() if n not in done and needs - {n} <= done}
        assert free, f"cycle among {sorted(set(graph) - done)}"
        done |= free


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("errors", set()),
        ("worker", set()),
        ("stacks", set()),
        ("model", {"errors", "rubric", "stacks"}),
        ("digest", {"errors", "model"}),
        ("compare", {"errors", "model", "digest"}),
    ],
)
def test_the_pure_heart_depends_on_nothing_else(module: str, allowed: set[str]) -> None:
    """Comparison and vocabulary can be trusted without knowing engines or files."""
    assert imports_of(SOURCE / f"{module}.py") <= allowed


def test_engines_know_nothing_of_labs_runners_or_reports() -> None:
    """An engine moves jobs; it does not know what they mean."""
    for path in (SOURCE / "engines").glob("*.py"):
        above = {"catalog", "matrix", "scenarios", "compare", "runner", "report", "plan", "cli"}
        assert not {name.split(".")[0] for name in imports_of(path)} & above, path.name


def test_nothing_but_the_front_ends_imports_the_front_ends() -> None:
    """cli and pytest_plugin are the outermost ring."""
    for path in MODULES:
        if module_name(path).split(".")[0] not in ("cli", "pytest_plugin", "__main__"):
            tops = {name.split(".")[0] for name in imports_of(path)}
            assert not tops & {"cli", "pytest_plugin"}, path.name


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_functions_and_modules_stay_short(path: Path) -> None:
    """A function does one thing in at most 40 lines (docstring not counted)."""
    text = path.read_text()
    limit = LONGEST_MODULE if path.name != "worker.py" else LONGEST_WORKER
    assert len(text.splitlines()) <= limit
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = node.body[0] if ast.get_docstring(node) else None
            lines = (node.end_lineno or 0) - node.lineno + 1
            lines -= (doc.end_lineno or 0) - doc.lineno + 1 if doc else 0
            assert lines <= LONGEST_FUNCTION, f"{node.name} has {lines} lines"


def test_every_error_class_is_drawn_in_the_tree_with_its_exit_code() -> None:
    """The docstring of errors.py is the tree that users and scripts rely on."""
    drawn = (errors.__doc__ or "").splitlines()
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.LabError) and kind is not errors.LabError:
            line = next(line for line in drawn if f" {name} " in line)
            assert f" {kind.exit_code} " in line


def test_error_text_tells_what_where_why_and_fix() -> None:
    """The four parts of a message stand in a fixed order."""
    fault = errors.CatalogError("unknown key", where="lab.toml: x", why="nearest y", fix="type z")
    assert str(fault) == "lab.toml: x: unknown key\n  why: nearest y\n  fix: type z"
