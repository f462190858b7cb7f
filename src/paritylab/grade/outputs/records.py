"""Grades for programs: ``grades.json``, Gradescope's ``results.json``, JUnit XML."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from pydantic_core import to_json

from paritylab.grade.model import Check, Grade, Reveal
from paritylab.grade.outputs.revealing import shows_prints, words_of
from paritylab.html import tidy

SCHEMA_VERSION = 1
"""Of ``grades.json``."""


def grades_json(grades: Sequence[Grade], facts: Mapping[str, Any]) -> bytes:
    """Everything but curves and sources (their SHA-256 instead); for the instructor's programs."""
    document = {
        "schema_version": SCHEMA_VERSION,
        **facts,
        "grades": [_plain(grade) for grade in grades],
    }
    return _json(document)


def _plain(grade: Grade) -> dict[str, Any]:
    found = asdict(grade)
    sources = found["submission"].pop("sources")
    found["submission"]["sources"] = {
        name: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        for name, text in sources.items()
    }
    for check in found["checks"]:
        check.pop("curve")
    return found


def gradescope(grade: Grade, reveal: Reveal) -> bytes:
    """Gradescope's ``results.json`` for one student, who sees it: values only as revealed.

    The format is that of Gradescope's "Autograder Specifications".
    """
    handed = grade.submission
    said = [*handed.faults, *handed.notes]
    if handed.penalty:
        said.append(f"late: {handed.penalty:.0%} of {grade.raw:.4g} points taken")
    if shows_prints(grade, reveal):
        said += [text for text in (grade.stdout, grade.stderr) if text.strip()]
    return _json(
        {
            "score": round(grade.score, 4),
            "execution_time": max(0, round(grade.seconds)),
            "output": "\n".join(said),
            "visibility": "visible",
            "stdout_visibility": "hidden",
            "tests": [_test(check, grade, reveal) for check in grade.checks],
        }
    )


def _test(check: Check, grade: Grade, reveal: Reveal) -> dict[str, Any]:
    return {
        "name": check.id,
        "score": round(check.earned, 4),
        "max_score": round(check.points, 4),
        "status": "passed" if check.passed and check.verdict != "forbidden" else "failed",
        "output": words_of(check, grade, reveal),
        "output_format": "text",
        "visibility": "visible",
    }


def _json(document: Mapping[str, Any]) -> bytes:
    # Strict JSON knows neither NaN nor Infinity, UTF-8 no lone surrogate.
    plain = _tidied(document)
    return to_json(plain, indent=2, inf_nan_mode="null") + b"\n"


def _tidied(value: Any) -> Any:
    if isinstance(value, str):
        return tidy(value)
    if isinstance(value, Mapping):
        return {tidy(str(key)): _tidied(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_tidied(one) for one in value]
    return value


def junit(grades: Sequence[Grade], lab: str) -> bytes:
    """One suite per student, one case per check; for the instructor: values are in it."""
    root = ElementTree.Element("testsuites", name=tidy(f"paritylab grade {lab}"))
    for grade in grades:
        red = [check for check in grade.checks if not _good(check)]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=tidy(grade.submission.student),
            tests=str(len(grade.checks)),
            failures=str(len(red)),
            errors="0",
            skipped="0",
            time=f"{grade.seconds:.3f}",
        )
        for check in grade.checks:
            kind = f"{lab}.{grade.submission.student}.{check.implementation}"
            case = ElementTree.SubElement(
                suite, "testcase", classname=tidy(kind), name=tidy(check.id), time="0"
            )
            if not _good(check):
                told = {"type": tidy(check.verdict), "message": tidy(check.words)}
                failure = ElementTree.SubElement(case, "failure", told)
                failure.text = tidy(check.hidden)
    ElementTree.indent(root)
    text: str = ElementTree.tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _good(check: Check) -> bool:
    return check.passed and check.verdict != "forbidden"
