"""One grading run holds many attacks: what was handed in, what the grader made of it.

``submissions/<attack>/`` is a student's folder beside its ``attack.toml``:

tries, wall  what it is after, and what stops it (docs/threat-model.md lists both)
seen         a pattern in what the grader saw: evidence that the attack was really tried
status       a pattern of the trials' status; absent where ``faulty``: it never ran
full         implementations that are solved honestly on the way, and earn full marks
leaves       it leaves something behind for whoever comes next: run twice, on two seeds
isolation    only under this one

An attack that gets what it must not get prints ``BREACH``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from paritylab.engines.dockerclient import open_client
from paritylab.errors import DockerError

PROJECT = Path(__file__).parent.parent.parent
SUBMISSIONS = Path(__file__).parent / "submissions"
LIMIT = float(os.environ.get("PARITYLAB_HOSTILE_SECONDS", "5"))
"""Seconds that a job of the suite may take; a busy machine needs more for the honest ones."""
SEED = 3141592653
"""What submissions/hidden-seed-in-memory looks for, and never holds."""
RUN_SECONDS = 1500
RUBRIC = """
[limits]
seconds = %g
memory_mb = 512
output_mb = 64

[grading]
implementations = ["pytorch", "tf2"]
environment = "tf2"
seeds = 2
"""
ODD_NAMES = ("[/red]<script>alert(4)</script>", "=1+1", "Zoë", "zoe", "up..and..away", "-rf")


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What an attack.toml says."""

    name: str
    tries: str
    wall: str
    seen: str
    status: str = ""
    full: tuple[str, ...] = ()
    faulty: bool = False
    leaves: bool = False
    isolation: str = ""

    @property
    def folder(self) -> Path:
        """What a student would hand in."""
        return SUBMISSIONS / self.name


def attacks() -> list[Attack]:
    """Every attack there is."""
    found = []
    for path in sorted(SUBMISSIONS.glob("*/attack.toml")):
        found.append(Attack(name=path.parent.name, **tomllib.loads(path.read_text())))
    return found


ATTACKS = {attack.name: attack for attack in attacks()}


@dataclass(kw_only=True)
class Graded:
    """A finished run of `paritylab grade`."""

    isolation: str
    out: Path
    pid: int
    code: int
    told: str
    seconds: float
    grades: dict[str, dict[str, Any]] = field(default_factory=dict)
    trials: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def evidence(self, student: str) -> str:
        """All that the grader saw of a submission."""
        trials = json.dumps(self.trials.get(student, []), ensure_ascii=False)
        return trials + json.dumps(self.grades[student], ensure_ascii=False)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose labs are `train` with a plain rubric and other limits; the rest is ours.

    `train` has short limits, for attacks that use them up; `train-long` has time for TensorFlow on
    a busy machine.
    """
    root = tmp_path_factory.mktemp("project")
    for name in ("environments", "docker"):
        (root / name).symlink_to(PROJECT / name)
    (root / "labs").mkdir()
    (root / "labs" / "_data").symlink_to(PROJECT / "labs" / "_data")
    text = (PROJECT / "labs" / "train" / "lab.toml").read_text()
    text = re.sub(r"(?ms)^\[(limits|grading)[^\]]*\]\n.*?(?=^\[|\Z)", "", text)
    for name, seconds in {"train": LIMIT, "train-long": 60.0}.items():
        lab = root / "labs" / name
        shutil.copytree(PROJECT / "labs" / "train", lab)
        (lab / "lab.toml").write_text(text + RUBRIC % seconds)
    return root


@pytest.fixture(scope="session", params=["container", "fork"], ids=["by-container", "by-fork"])
def isolation(request: pytest.FixtureRequest) -> str:
    """Both ways in which submissions are kept apart."""
    return str(request.param)


Grader = Callable[..., Graded]


@pytest.fixture(scope="session")
def grader(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Grader:
    """Runs the real `paritylab grade` over a folder of submissions."""
    try:
        open_client()
    except DockerError as fault:
        pytest.skip(str(fault))

    def run(
        isolation: str,
        students: dict[str, Path],
        *options: str,
        only: str = "pytorch",
        lab: str = "train",
    ) -> Graded:
        place = tmp_path_factory.mktemp("run")
        for student, source in students.items():
            shutil.copytree(source, place / "in" / student, ignore=_not_handed_in)
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "paritylab", "grade", str(place / "in"), "--lab", lab,
             "--out", str(place / "out"), "--isolation", isolation, "--for", only,
             "--base", "bootstrap", "--reveal", "all", *options],
            env={**os.environ, "PARITYLAB_ROOT": str(project)}, cwd=place,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            told = process.communicate(timeout=RUN_SECONDS)[0]
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
        seconds = time.monotonic() - began
        graded = Graded(
            isolation=isolation, out=place / "out", pid=process.pid, code=process.returncode,
            told=told.decode("utf-8", "replace"), seconds=seconds,
        )  # fmt: skip
        assert graded.code == 0, graded.told[-5000:]
        graded.left = _containers_of(process.pid)
        _read(graded)
        return graded

    return run


def _not_handed_in(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name in ("attack.toml", "__pycache__")]


def _containers_of(pid: int) -> list[str]:
    """The containers that a grading process has left, whatever state they are in."""
    labels = {"label": f"paritylab.pid={pid}"}
    return [str(row["Id"]) for row in open_client().api.containers(all=True, filters=labels)]


def _read(graded: Graded) -> None:
    document = json.loads((graded.out / "grades.json").read_text(), parse_constant=_no_constant)
    for grade in document["grades"]:
        graded.grades[grade["submission"]["student"]] = grade
    with sqlite3.connect(f"file:{graded.out / 'journal.sqlite'}?mode=ro", uri=True) as journal:
        for unit, payload in journal.execute("SELECT unit, payload FROM units ORDER BY number"):
            graded.trials.setdefault(unit.split("/")[0], []).append(json.loads(payload))


def _no_constant(text: str) -> None:
    raise AssertionError(f"grades.json holds {text}")


def chosen(isolation: str, *, leaves: bool, halves: bool = False) -> list[Attack]:
    """The attacks of one run; ``halves`` are those that hand in both implementations."""
    return [
        attack
        for attack in ATTACKS.values()
        if attack.leaves is leaves
        and (attack.folder / "tf2.py").exists() is halves
        and attack.isolation in ("", isolation)
    ]


@pytest.fixture(scope="session")
def honest(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission that deserves full marks: the lab's own implementations."""
    folder = tmp_path_factory.mktemp("honest")
    for name in ("pytorch.py", "tf2.py"):
        text = (project / "labs" / "train" / name).read_text()
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="session")
def alone(isolation: str, grader: Grader, honest: Path) -> Graded:
    """Every attack that is about its own trial, honest students between them, two at a time."""
    students = {attack.name: attack.folder for attack in chosen(isolation, leaves=False)}
    students |= {f"{letter}-honest": honest for letter in "adgmpsz"}
    students |= dict.fromkeys(ODD_NAMES, honest)
    return grader(isolation, students, "--seeds", str(SEED), "--jobs", "2")


@pytest.fixture(scope="session")
def after(isolation: str, grader: Grader, honest: Path) -> Graded:
    """Every attack that leaves something: twice, on two seeds, one lane for all of them."""
    students = {"honest": honest}
    for attack in chosen(isolation, leaves=True):
        students |= {attack.name: attack.folder, f"{attack.name}-again": attack.folder}
    return grader(isolation, students, "--seeds", f"{SEED},2718281828", "--jobs", "1")


@pytest.fixture(scope="session")
def halves(isolation: str, grader: Grader, honest: Path) -> Graded:
    """Every attack that hands in both implementations, and lets one help the other."""
    students = {"honest": honest}
    found = chosen(isolation, leaves=True, halves=True)
    students |= {attack.name: attack.folder for attack in found}
    seeds, both = ("--seeds", str(SEED), "--jobs", "1"), "pytorch,tf2"
    return grader(isolation, students, *seeds, only=both, lab="train-long")
