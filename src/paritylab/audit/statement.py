"""The in-toto statement over a bundle: every file with its SHA-256, and how they came about.

Format: in-toto Attestation Framework, Statement v1, with a SLSA Provenance v1 predicate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import STATEMENT_TYPE_URI, Statement

from paritylab.audit import documents
from paritylab.audit.archive import Members
from paritylab.errors import BundleError

FILE = "statement.json"
ENVELOPE = "statement.dsse.json"
OUTSIDE = frozenset({FILE, ENVELOPE})
"""Members that the statement cannot list: itself, and its signature."""
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:paritylab:audit:v1"
BUILDER = "urn:paritylab"


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """What an audit rested on: a name, a URI, digests by algorithm (``sha256``, ``gitCommit``)."""

    name: str
    uri: str
    digests: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How the files of a bundle came about: who, when, with what parameters, from what."""

    version: str
    begun: datetime
    parameters: Mapping[str, Any]
    dependencies: Sequence[Dependency]


def make(members: Members, origin: Origin) -> bytes:
    """Return the statement over ``members`` as JSON."""
    subjects = [
        ResourceDescriptor(name=name, digest={"sha256": sha256(content)}).pb
        for name, content in sorted(members.items())
        if name not in OUTSIDE
    ]
    made = Statement(subjects, PREDICATE, json_format.MessageToDict(_provenance(origin)))
    made.validate()
    return documents.dump(json_format.MessageToDict(made.pb))


def check(members: Members) -> dict[str, Any]:
    """Hold every member against the statement among them; return the statement as plain data.

    Raises BundleError that names each file which is missing, changed, or not in the statement.
    """
    if FILE not in members:
        raise BundleError(f"{FILE} is missing", why="nothing says what the bundle should hold")
    statement = documents.load(members[FILE], where=FILE)
    wanted = _subjects(statement)
    present = {name for name in members if name not in OUTSIDE}
    faults = [f"{name}: missing" for name in sorted(wanted.keys() - present)]
    faults += [f"{name}: not in the statement" for name in sorted(present - wanted.keys())]
    for name in sorted(present & wanted.keys()):
        found = sha256(members[name])
        if found != wanted[name]:
            faults.append(f"{name}: SHA-256 {found[:12]}…, the statement says {wanted[name][:12]}…")
    if faults:
        raise BundleError(
            "the files are not those of the statement",
            where=FILE,
            why="; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if faults[10:] else ""),
            fix="get the bundle again from where it was made",
        )
    return statement


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _subjects(statement: Mapping[str, Any]) -> dict[str, str]:
    """Name -> SHA-256; raises BundleError for what is no statement of ours."""
    try:
        message = json_format.ParseDict(statement, statement_pb2.Statement())
        Statement.copy_from_pb(message).validate()
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as fault:
        raise BundleError("it is no in-toto statement", where=FILE, why=str(fault)) from None
    if message.type != STATEMENT_TYPE_URI or message.predicate_type != PREDICATE:
        raise BundleError(
            f"a predicate of type {message.predicate_type[:80]!r} is not read here",
            where=FILE,
            why=f"bundles carry {PREDICATE}",
        )
    names = [subject.name for subject in message.subject]
    if len(set(names)) != len(names):
        raise BundleError("a file is listed twice", where=FILE)
    return {subject.name: subject.digest["sha256"] for subject in message.subject}


def _provenance(origin: Origin) -> Any:
    message = provenance_pb2.Provenance()
    message.build_definition.build_type = BUILD_TYPE
    message.build_definition.external_parameters.update(dict(origin.parameters))
    for one in origin.dependencies:
        found = ResourceDescriptor(name=one.name, uri=one.uri, digest=dict(one.digests))
        message.build_definition.resolved_dependencies.append(found.pb)
    message.run_details.builder.id = BUILDER
    message.run_details.builder.version["paritylab"] = origin.version
    message.run_details.metadata.started_on.FromDatetime(origin.begun)
    return message
