"""The front door: `nox -l` is the menu. Options after `--` narrow a session."""

from __future__ import annotations

import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True

ENVIRONMENTS = sorted(path.parent.name for path in Path("environments").glob("*/environment.toml"))
REPORTS = Path("reports")
# After Ctrl-C: time to stop what runs and to tell what was found.
PATIENCE = {"interrupt_timeout": 60.0, "terminate_timeout": 20.0}


def install(session: nox.Session, *extras: str) -> None:
    """Install the package in place with the extras that a session needs."""
    session.install("-e", f".[{','.join(extras)}]" if extras else ".")


def cells(session: nox.Session, *arguments: str) -> None:
    """Run the matrix with pytest; files go to reports/."""
    REPORTS.mkdir(exist_ok=True)
    name = session.name.replace("(", "-").rstrip(")")
    (REPORTS / f"{name}.json").unlink(missing_ok=True)
    session.run(
        "pytest",
        "tests/labs",
        *("-n", "auto", "--dist", "load", "-v"),
        f"--junitxml={REPORTS / name}.xml",
        f"--results={REPORTS / name}.json",
        *arguments,
        *session.posargs,
        **PATIENCE,
    )


@nox.session
def lab(session: nox.Session) -> None:
    """Run every lab in pinned virtual environments; no Docker needed."""
    install(session)
    cells(session, "--engine", "venv")


@nox.session(name="lab-cpu", default=False)
def lab_cpu(session: nox.Session) -> None:
    """Run every lab in every pinned CPU image; `-- --lab train --environment tf2` narrows."""
    install(session)
    cells(session, "--engine", "docker")


@nox.session(name="lab-cuda", default=False)
def lab_cuda(session: nox.Session) -> None:
    """Run every lab in every CUDA image; `-- --gpus 0,1` chooses, `-- --smoke` needs no GPU."""
    install(session)
    try:
        cells(session, "--engine", "docker", "--device", "cuda")
    except CommandFailed as fault:
        # nox ends with 1 whatever failed; scripts tell a red cell from a missing GPU by the code.
        code = getattr(fault, "return_code", None)
        if code in (2, 3):
            sys.exit(code)
        raise


def _lab_cpu_in(environment: str) -> None:
    """Register lab-cpu for one environment: the menu shows what the folders hold."""

    def only(session: nox.Session) -> None:
        install(session)
        cells(session, "--engine", "docker", "--environment", environment)

    only.__doc__ = f"Run every lab in the CPU image of {environment}."
    nox.session(only, name=f"lab-cpu({environment})", default=False)


for _name in ENVIRONMENTS:
    _lab_cpu_in(_name)


@nox.session(default=False)
def tests(session: nox.Session) -> None:
    """Test the project: without Docker first, then on the real engine if one answers."""
    install(session, "test")
    session.run("pytest", "tests/unit", "-n", "auto", *session.posargs, **PATIENCE)
    session.run("pytest", "tests/engine", "-rs", *session.posargs, **PATIENCE)


@nox.session(default=False)
def hostile(session: nox.Session) -> None:
    """Grade every hostile submission on the real engine, in both isolations."""
    install(session, "test")
    session.run("pytest", "tests/hostile", "-rs", *session.posargs, **PATIENCE)


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(default=False)
def types(session: nox.Session) -> None:
    """Check types with strict mypy."""
    install(session, "types")
    session.run("mypy")


@nox.session(default=False)
def images(session: nox.Session) -> None:
    """Build the CPU images; `-- --base bootstrap` where no registry can be reached."""
    install(session)
    session.run("paritylab", "images", "build", *session.posargs, **PATIENCE)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Resolve environments/*/*.in into locks with hashes; `-- tf2` for one."""
    install(session)
    session.run("paritylab", "lock", *session.posargs, **PATIENCE)


@nox.session(default=False)
def accept(session: nox.Session) -> None:
    """Rewrite expected.json from the oracle; refuses while an implementation disagrees."""
    install(session)
    session.run("paritylab", "accept", *session.posargs, **PATIENCE)


@nox.session(default=False)
def pages(session: nox.Session) -> None:
    """Write the generated tables of README.md and docs/ again."""
    install(session)
    session.run("paritylab", "pages")


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Plant every lab's faults; at least 95% must turn their cells red."""
    install(session)
    session.run("paritylab", "mutants", *session.posargs, **PATIENCE)


@nox.session(default=False)
def grade(session: nox.Session) -> None:
    """Grade submissions in sandboxes: `-- submissions/ --lab train --out grades/`."""
    install(session)
    session.run("paritylab", "grade", *(session.posargs or ["--help"]), **PATIENCE)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure every figure in one run: one table, reports/bench.json; `-- --only a,g` narrows."""
    install(session)
    session.run(
        "paritylab", "bench", "--results", f"{REPORTS}/bench.json", *session.posargs, **PATIENCE
    )


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Audit every lab: how far each reproduces, under which changes; `-- --help` tells more."""
    install(session, "audit")
    session.run("paritylab", "audit", *session.posargs, **PATIENCE)


@nox.session(name="audit-power", default=False)
def audit_power(session: nox.Session) -> None:
    """Measure the audit: planted causes that it names, false alarms on clean labs."""
    install(session, "audit")
    session.run("paritylab", "audit-power", *session.posargs, **PATIENCE)


@nox.session(default=False)
def site(session: nox.Session) -> None:
    """Make the site in build/site from labs/, docs/ and the newest run in reports/."""
    install(session, "site")
    session.run("paritylab", "site", *session.posargs, **PATIENCE)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Test the site in Chromium and Firefox: navigation, tabs, search, links, accessibility."""
    install(session, "test", "site", "browser")
    session.run("pytest", "tests/browser", "-rs", *session.posargs, **PATIENCE)


@nox.session(default=False)
def pictures(session: nox.Session) -> None:
    """Draw the README's pictures again: `nox -s pictures -- results.json`."""
    install(session)
    session.run("python", "docs/pictures/make.py", *session.posargs)
