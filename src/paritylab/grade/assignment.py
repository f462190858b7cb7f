"""What a student's folder holds beside the task: the public checks, as plain JSON and npz.

``checks/`` has the lab's declaration, the inputs and the right answers of a few public seeds, and
the environment with its lock. The scenario, its oracle and the hidden seeds stay at home, so the
folder needs nothing but this package.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from paritylab import catalog, scenarios
from paritylab.errors import CatalogError, EngineError, SubmissionError, UsageError, nearest
from paritylab.model import Environment, Lab, LabImplementation, Value
from paritylab.schema import LabModel, parse_toml, validate
from paritylab.strict import Name, NonEmpty, Strict

CHECKS = "checks"
FILE = "assignment.json"
# Claims and their evidence tell what a student is to find out; no digest is compared there.
_NOT_THEIRS: Any = {"claims": True, "implementations": {"__all__": {"cpu_bits"}}}
Plain = bool | int | float | str


class ArrayAt(Strict):
    """A value that lies in the npz file, under this key."""

    array: NonEmpty


class QuestionModel(Strict):
    """One public seed: the inputs, and the answers by implementation."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    arrays: Annotated[str, Field(pattern=r"^seed-\d+\.npz$")]
    inputs: dict[str, ArrayAt | Plain]
    expected: dict[Name, dict[str, ArrayAt | Plain]]


class AssignmentModel(Strict):
    """A whole assignment.json."""

    schema_version: Literal[1]
    slug: NonEmpty
    lab: LabModel
    implementations: Annotated[tuple[Name, ...], Field(min_length=1)]
    environment: NonEmpty
    questions: Annotated[tuple[QuestionModel, ...], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One public seed: what an implementation is given, and what it must answer."""

    seed: int
    inputs: Mapping[str, Value]
    expected: Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Everything that checking a student's files needs."""

    lab: Lab
    environment: Environment
    implementations: tuple[str, ...]
    questions: tuple[Question, ...]


def compose(
    lab: Lab, environment: Environment, implementations: tuple[str, ...], seeds: Sequence[int]
) -> Assignment:
    """Ask the scenario for the public seeds; raises CatalogError when it is at fault."""
    problems = ((seed, scenarios.solve(lab, seed)) for seed in seeds)
    return Assignment(
        lab=lab,
        environment=environment,
        implementations=implementations,
        questions=tuple(
            Question(
                seed=seed,
                inputs=problem.inputs,
                expected={name: problem.expected[name] for name in implementations},
            )
            for seed, problem in problems
        ),
    )


def narrowed(assignment: Assignment, implementations: tuple[str, ...]) -> Assignment:
    """The same assignment for some of its implementations, all if none is named."""
    for name in implementations:
        if name not in assignment.implementations:
            raise UsageError(
                f"the assignment has no `{name}`", why=nearest(name, assignment.implementations)
            )
    return replace(assignment, implementations=implementations or assignment.implementations)


def elsewhere(assignment: Assignment, environment: Environment) -> Assignment:
    """The same assignment in another environment; raises EngineError where it cannot run there."""
    for name in assignment.implementations:
        reason = environment.support[name].unsupported
        if reason:
            raise EngineError(
                f"{name} cannot run here: {reason}",
                fix="leave --engine here out, or: pip install --no-deps -r requirements.txt",
            )
    return replace(assignment, environment=environment)


def write(assignment: Assignment, folder: Path) -> None:
    """Write ``checks/`` into a student's folder; the same assignment gives the same bytes."""
    place = folder / CHECKS
    home = place / "environments" / assignment.environment.name
    home.mkdir(parents=True)
    for name in ("environment.toml", "cpu.in", "cpu.lock"):
        shutil.copyfile(assignment.environment.folder / name, home / name)
    _only_cpu(home / "environment.toml", assignment.environment)
    declared = parse_toml(
        assignment.lab.folder / "lab.toml", LabModel, shown=f"labs/{assignment.lab.slug}/lab.toml"
    )
    document = {
        "schema_version": 1,
        "slug": assignment.lab.slug,
        "lab": declared.model_dump(mode="json", exclude=_NOT_THEIRS, exclude_defaults=True),
        "implementations": assignment.implementations,
        "environment": assignment.environment.name,
        "questions": [_question(question, place) for question in assignment.questions],
    }
    (place / FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _only_cpu(path: Path, environment: Environment) -> None:
    """Leave the GPU's stacks out of a copied environment.toml: students' checks run on the CPU."""
    others = tuple(f"[devices.{name}" for name in environment.stacks if name != "cpu")
    kept, inside = [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            inside = line.startswith(others)
        if not inside:
            kept.append(line)
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")


def _question(question: Question, place: Path) -> dict[str, Any]:
    arrays: dict[str, np.ndarray] = {}

    def plain(values: Mapping[str, Value], prefix: str) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for number, (name, value) in enumerate(values.items()):
            if isinstance(value, np.ndarray):
                written[name] = {"array": f"{prefix}{number}"}
                arrays[f"{prefix}{number}"] = value
            else:
                written[name] = value.item() if isinstance(value, np.generic) else value
        return written

    file = f"seed-{question.seed}.npz"
    told = {
        "seed": question.seed,
        "arrays": file,
        "inputs": plain(question.inputs, "input-"),
        "expected": {name: plain(v, f"{name}-") for name, v in question.expected.items()},
    }
    np.savez_compressed(place / file, allow_pickle=False, **arrays)
    return told


def read(folder: Path) -> Assignment:
    """Read a student's folder; raises SubmissionError or CatalogError with file and key."""
    place = folder / CHECKS
    shown = f"{CHECKS}/{FILE}"
    try:
        document = json.loads((place / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SubmissionError(
            f"{folder} is no assignment",
            why=f"{shown} is missing",
            fix="change into the folder that you were given, or name it: paritylab check FOLDER",
        ) from None
    except (OSError, ValueError, RecursionError) as fault:
        raise SubmissionError("cannot be read", where=shown, why=str(fault)) from None
    model = validate(document, AssignmentModel, shown=shown)
    lab = catalog.lab_of(model.lab, model.slug, folder, _implementations(folder, model))
    if lab.rubric is None:
        raise CatalogError("required key is missing", where=f"{shown}: lab.grading")
    return Assignment(
        lab=lab,
        environment=catalog.read_environment(place / "environments" / model.environment, place),
        implementations=tuple(model.implementations),
        questions=tuple(_read_question(question, place) for question in model.questions),
    )


def _implementations(folder: Path, model: AssignmentModel) -> dict[str, LabImplementation]:
    return {
        name: LabImplementation(
            name=name, source=folder / f"{name}.py", requires=(), unsupported=None, cpu_bits=None
        )
        for name in model.implementations
    }


def _read_question(model: QuestionModel, place: Path) -> Question:
    shown = f"{CHECKS}/{model.arrays}"
    try:
        with np.load(place / model.arrays, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}

        def values(written: Mapping[str, ArrayAt | Plain]) -> dict[str, Value]:
            return {
                name: arrays[value.array] if isinstance(value, ArrayAt) else value
                for name, value in written.items()
            }

        return Question(
            seed=model.seed,
            inputs=values(model.inputs),
            expected={name: values(answers) for name, answers in model.expected.items()},
        )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as fault:
        raise SubmissionError(
            "cannot be read",
            where=shown,
            why=str(fault),
            fix="unpack the assignment again; your own files are not touched by that if you copy "
            "them out first",
        ) from None
