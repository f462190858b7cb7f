"""A lab -> a student's folder: starter files, the task, public checks, the right environment."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paritylab.errors import CatalogError, SubmissionError, UsageError, nearest
from paritylab.fleet import LocalFleet
from paritylab.grade import assignment as public
from paritylab.grade import local
from paritylab.grade.assignment import Assignment
from paritylab.grade.markers import blocks, starter
from paritylab.grade.notebooks import notebook_of
from paritylab.grade.tasks import task
from paritylab.model import Environment, Lab
from paritylab.rubric import Rubric

PUBLIC_SEEDS = 2


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What an instructor asked for.

    ``package`` is what students give to pip to get this package; ``seeds`` how many public seeds
    the checks have.
    """

    implementations: tuple[str, ...]
    notebook: bool = False
    package: str = "paritylab"
    seeds: int = PUBLIC_SEEDS


def graded(lab: Lab, implementations: tuple[str, ...]) -> tuple[str, ...]:
    """Return the implementations to be set, all of the rubric's if none is named.

    Raises CatalogError for a lab without a rubric or without markers, UsageError for a name.
    """
    rubric = rubric_of(lab)
    for name in implementations:
        if name not in rubric.implementations:
            raise UsageError(
                f"{lab.slug} is not graded in `{name}`", why=nearest(name, rubric.implementations)
            )
    chosen = implementations or rubric.implementations
    for name in chosen:
        if not blocks(_source(lab, name), shown=_shown(lab, name)):
            raise CatalogError(
                "holds no solution markers",
                where=_shown(lab, name),
                why=f"labs/{lab.slug}/lab.toml: grading.implementations names {name}",
                fix="put # BEGIN SOLUTION and # END SOLUTION around what students write",
            )
    return tuple(dict.fromkeys(chosen))


def rubric_of(lab: Lab) -> Rubric:
    """Return a lab's rubric; raises CatalogError where it has none."""
    if lab.rubric is None:
        raise CatalogError(
            "cannot be set as an assignment",
            where=f"labs/{lab.slug}/lab.toml: grading",
            why="the table is missing",
            fix="choose another lab: `paritylab list` shows them",
        )
    return lab.rubric


def starters(lab: Lab, implementations: tuple[str, ...]) -> dict[str, str]:
    """What students begin with, by implementation."""
    return {name: starter(_source(lab, name), shown=_shown(lab, name)) for name in implementations}


def verify(
    lab: Lab,
    assignment: Assignment,
    fleet: LocalFleet,
    done: Callable[[str], None] = lambda _: None,
) -> None:
    """Run model solution and starter on the public checks.

    Raises SubmissionError unless the solution earns every point and the starter none.
    """
    names = assignment.implementations
    solutions = {name: _source(lab, name) for name in names}
    solved = local.check(assignment, solutions, fleet, done)
    begun = local.check(assignment, starters(lab, names), fleet, done)
    faults = [
        f"the model solution earns {check.earned:g} of {check.points:g} for {check.id}: "
        f"{check.hidden or check.words}"
        for check in solved.checks
        if not check.passed or check.verdict == "forbidden"
    ]
    faults += [
        f"the starter earns {check.earned:g} for {check.id}: it must be written first"
        for check in begun.checks
        if check.earned
    ]
    if faults:
        raise SubmissionError(
            f"{lab.slug} cannot be set like this: {faults[0]}",
            where=f"labs/{lab.slug}",
            why="; ".join(faults[1:5]) or None,
            fix=f"mend the lab or its markers; the model solutions run with: paritylab run --lab "
            f"{lab.slug} --environment {assignment.environment.name}",
        )


def compose(lab: Lab, environments: Mapping[str, Environment], choice: Choice) -> Assignment:
    """Return the public part of a lab: the seeds after the lab's own.

    Raises CatalogError where the rubric's environment cannot run an implementation.
    """
    environment = environments[rubric_of(lab).environment]
    for name in choice.implementations:
        reason = environment.support[name].unsupported
        if reason:
            raise CatalogError(
                f"{environment.name} does not run {name}",
                where=f"labs/{lab.slug}/lab.toml: grading.environment",
                why=reason,
            )
    first = lab.seed + 1
    seeds = range(first, first + choice.seeds)
    return public.compose(lab, environment, choice.implementations, seeds)


def check_target(folder: Path) -> None:
    """Raise UsageError where an assignment would be written over something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already", fix="choose another --out, or remove it")


def write(lab: Lab, assignment: Assignment, choice: Choice, folder: Path) -> list[Path]:
    """Write a student's folder, whole or not at all; return its files, relative to it."""
    check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, text in _files(lab, assignment, choice).items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        public.write(assignment, partial)
        partial.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        os.rename(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _files(lab: Lab, assignment: Assignment, choice: Choice) -> Mapping[str, str]:
    names = choice.implementations
    files = {
        "TASK.md": task(lab, names, package=choice.package, notebook=choice.notebook),
        "requirements.txt": _requirements(assignment.environment),
        ".devcontainer/devcontainer.json": _container(lab, assignment.environment, choice.package),
    }
    for name, text in starters(lab, names).items():
        if choice.notebook:
            title, words = f"{lab.title}: {name}", "The task is in TASK.md beside this notebook."
            files[f"{name}.ipynb"] = notebook_of(text, title=title, text=words)
        else:
            files[f"{name}.py"] = text
    return files


def _requirements(environment: Environment) -> str:
    """The environment's lock as pip takes it; dependencies are in it, overridden ones are not."""
    stack = environment.stacks["cpu"]
    index = f"--extra-index-url {stack.index}\n" if stack.index else ""
    head = (
        f"# {environment.title}, for CPython {environment.python}: every package with its hash.\n"
        "# pip install --no-deps --require-hashes -r requirements.txt\n"
    )
    return head + index + stack.lock.read_text(encoding="utf-8")


def _container(lab: Lab, environment: Environment, package: str) -> str:
    stack = environment.stacks["cpu"]
    install = ["pip install --no-deps --require-hashes -r requirements.txt"]
    if tuple(map(int, environment.python.split("."))) >= (3, 11):
        install.append(f"pip install {package}")  # itself needs that Python
    container = {
        "name": lab.title,
        "image": f"{stack.tag}@{stack.base.partition('@')[2]}",
        "postCreateCommand": " && ".join(install),
        "customizations": {"vscode": {"extensions": ["ms-python.python", "ms-toolsai.jupyter"]}},
    }
    return json.dumps(container, indent=2) + "\n"


def _source(lab: Lab, name: str) -> str:
    source = lab.implementations[name].source
    if source is None:  # pragma: no cover - the catalog refuses such a rubric
        raise CatalogError(f"{name} is unsupported", where=f"labs/{lab.slug}/lab.toml")
    return source.read_text(encoding="utf-8")


def _shown(lab: Lab, name: str) -> str:
    return f"labs/{lab.slug}/{name}.py"
