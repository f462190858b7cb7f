"""The command line: arguments only; every command is a few calls into the package."""

from paritylab.cli import (
    assign,
    audit,
    bench,
    build,
    ci,
    cluster,
    doctor,
    evidence,
    grade,
    imagefiles,
    labs,
    measure,
    report,
    reproduce,
    run,
    site,
)
from paritylab.cli.app import run_app as main

__all__ = [
    "assign",
    "audit",
    "bench",
    "build",
    "ci",
    "cluster",
    "doctor",
    "evidence",
    "grade",
    "imagefiles",
    "labs",
    "main",
    "measure",
    "report",
    "reproduce",
    "run",
    "site",
]
