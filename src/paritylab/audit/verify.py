"""A bundle read by somebody who trusts nothing: every hash, the statement, and what must fit."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from paritylab.audit import archive, arrays, crate, documents, signing, statement
from paritylab.audit.archive import Members
from paritylab.audit.bundle import AUDIT, FACTS, OUTPUTS, PLAN, REPORT, SCHEMA, plan_of
from paritylab.audit.factsmodel import Facts
from paritylab.audit.model import Audit, from_json
from paritylab.audit.records import Installation
from paritylab.errors import BundleError, LockError
from paritylab.locks import Pin, parse_text, pins_digest
from paritylab.model import Value

REQUIRED = (AUDIT, PLAN, FACTS, REPORT, crate.FILE, statement.FILE)
MAX_ARRAYS = 512 << 20
"""Bytes that the outputs of one cell may take when they are unpacked."""
_INSTALLATION: TypeAdapter[Installation] = TypeAdapter(Installation)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle whose bytes are all accounted for.

    ``digest`` is the SHA-256 of the file, ``signed_by`` the id of the key (None: unsigned;
    ``trusted`` says whether it was held against a key), ``facts`` as ``bundle.collect`` wrote
    them, ``installations`` and ``pins`` by ``<environment>-<device>``.
    """

    path: Path
    digest: str
    members: Members
    audit: Audit
    facts: Mapping[str, Any]
    installations: Mapping[str, Installation]
    pins: Mapping[str, Mapping[str, Pin]]
    signed_by: str | None
    trusted: bool

    def outputs(self, baseline: str) -> dict[str, Value]:
        """Return the outputs of a baseline; raises BundleError when they are broken."""
        return outputs_of(self.members, baseline)


def read(path: Path, *, key: Path | None = None) -> Bundle:
    """Return a bundle if all of it fits together; runs nothing, asks nobody, writes nothing.

    ``key`` is a public key that must have signed it. Raises BundleError with the name of what is
    missing, was changed, added, or contradicts the rest; UsageError when ``key`` is none.
    """
    data = archive.read(path)
    members = archive.unpacked(data, path)
    _schema_first(members)
    statement.check(members)
    signed_by = signing.check(members, key)
    missing = [name for name in REQUIRED if name not in members]
    if missing:
        raise BundleError(f"the bundle is not complete: {', '.join(missing)} missing")
    documents.load(members[AUDIT], where=AUDIT)
    audit = from_json(members[AUDIT])
    facts = _facts(members)
    pins = {name: _pins(members, name, stack) for name, stack in facts["stacks"].items()}
    bundle = Bundle(
        path=path,
        digest=statement.sha256(data),
        members=members,
        audit=audit,
        facts=facts,
        installations=_installations(members, facts),
        pins=pins,
        signed_by=signed_by,
        trusted=key is not None,
    )
    _check(bundle)
    return bundle


def outputs_of(members: Members, baseline: str) -> dict[str, Value]:
    """Return stored outputs by name, held against the digest in the file's name.

    Nothing is unpacked before it is known how large it gets. Raises BundleError.
    """
    name = f"{OUTPUTS}/{baseline}"
    if name not in members:
        raise BundleError("the outputs of a baseline are missing", where=name)
    try:
        _check_sizes(members[name])
        return arrays.from_bytes(members[name], baseline)
    except BundleError:
        raise
    except Exception as fault:
        # NumPy and zlib raise what they like on hostile files; none of it is our fault.
        raise BundleError("the outputs are broken", where=name, why=str(fault)[:200]) from None


def _schema_first(members: Members) -> None:
    """A bundle of a newer paritylab is told so, before anything else about it is found wrong."""
    for name in (FACTS, AUDIT):
        if name not in members:
            continue
        found = documents.load(members[name], where=name).get("schema_version")
        if isinstance(found, int) and not isinstance(found, bool) and found > SCHEMA:
            raise BundleError(
                f"the bundle has schema {found}, this paritylab reads {SCHEMA}",
                where=name,
                fix="read it with the paritylab that wrote it, or a newer one",
            )


def _facts(members: Members) -> dict[str, Any]:
    found = documents.load(members[FACTS], where=FACTS)
    try:
        Facts.model_validate_json(members[FACTS])
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        where = ".".join(str(part)[:60] for part in first["loc"])
        raise BundleError(f"it is broken: {first['msg']}", where=f"{FACTS}: {where}") from None
    return found


def _pins(members: Members, name: str, stack: Mapping[str, Any]) -> dict[str, Pin]:
    if not stack["lock"]:
        return unlocked(stack)
    where = f"environments/{name}/{stack['device']}.lock"
    if where not in members:
        raise BundleError("the lock is missing", where=where)
    try:
        pins = parse_text(members[where].decode(), where=where)
    except (UnicodeDecodeError, LockError) as fault:
        raise BundleError("the lock is broken", where=where, why=str(fault)) from None
    if pins_digest(pins) != stack["lock"]:
        raise BundleError(f"it is not the lock that {FACTS} tells of", where=where)
    return pins


def unlocked(stack: Mapping[str, Any]) -> dict[str, Pin]:
    """The packages of an interpreter that no lock describes; no hash vouches for them."""
    return {
        name: Pin(name=name, version=version, hashes=())
        for name, version in stack["packages"].items()
    }


def _installations(members: Members, facts: Mapping[str, Any]) -> dict[str, Installation]:
    found = {}
    for name in facts["stacks"]:
        where = f"environments/{name}/installed.json"
        if where in members:
            documents.load(members[where], where=where)
            try:
                found[name] = _INSTALLATION.validate_json(members[where])
            except ValidationError as fault:
                first = fault.errors(include_url=False)[0]
                raise BundleError("it is no inventory", where=where, why=first["msg"]) from None
    return found


def _check(bundle: Bundle) -> None:
    for check in (_plan_is_the_audits, _labs_are_there, _baselines_are_there, _crate_lists_all,
                  _bill_is_the_locks):  # fmt: skip
        check(bundle)


def _plan_is_the_audits(bundle: Bundle) -> None:
    told = documents.load(bundle.members[PLAN], where=PLAN)
    if told != plan_of(json.loads(bundle.members[AUDIT])):
        raise BundleError(f"it is not the plan in {AUDIT}", where=PLAN)


def _labs_are_there(bundle: Bundle) -> None:
    for slug, lab in bundle.facts["labs"].items():
        for file, digest in lab["files"].items():
            name = f"labs/{slug}/{file}"
            if name not in bundle.members or statement.sha256(bundle.members[name]) != digest:
                raise BundleError(f"it is not the file that {FACTS} tells of", where=name)
    labs = {cell.lab for cell in bundle.audit.cells}
    missing = sorted(labs - bundle.facts["labs"].keys())
    if missing:
        raise BundleError(f"nothing is told of the lab {missing[0]}", where=FACTS)


def _baselines_are_there(bundle: Bundle) -> None:
    wanted = {cell.baseline for cell in bundle.audit.cells if cell.baseline}
    for baseline in sorted(wanted):
        bundle.outputs(baseline)
    prefix = f"{OUTPUTS}/"
    extra = {n.removeprefix(prefix) for n in bundle.members if n.startswith(prefix)} - wanted
    if extra:
        raise BundleError(f"no cell of {AUDIT} has it", where=f"{prefix}{min(extra)}")


def _crate_lists_all(bundle: Bundle) -> None:
    graph = documents.load(bundle.members[crate.FILE], where=crate.FILE).get("@graph")
    entities = graph if isinstance(graph, list) else []
    told: dict[Any, Any] = {
        one.get("@id"): one.get("sha256")
        for one in entities
        if isinstance(one, dict) and isinstance(one.get("@id"), str) and "sha256" in one
    }
    outside = statement.OUTSIDE | {crate.FILE}
    found = {n: statement.sha256(c) for n, c in bundle.members.items() if n not in outside}
    if told != found:
        differing = min(str(n) for n in told.keys() | found.keys() if told.get(n) != found.get(n))
        raise BundleError(f"{differing} is not as the crate describes it", where=crate.FILE)


def _bill_is_the_locks(bundle: Bundle) -> None:
    for name, installation in bundle.installations.items():
        where = f"environments/{name}/sbom.cdx.json"
        if where not in bundle.members:
            raise BundleError("the bill of materials is missing", where=where)
        bill = documents.load(bundle.members[where], where=where)
        components = bill.get("components", [])
        told = {
            (one.get("name"), one.get("version"))
            for one in (components if isinstance(components, list) else [])
            if isinstance(one, dict) and str(one.get("purl", "")).startswith("pkg:pypi/")
        }
        if told != {(one.name, one.version) for one in installation.distributions}:
            raise BundleError("it does not tell the packages that were found", where=where)


def _check_sizes(data: bytes) -> None:
    """Refuse a NumPy archive that claims more than it holds, before anything is unpacked."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive_:
        infos = archive_.infolist()
        if sum(info.file_size for info in infos) > MAX_ARRAYS:
            raise BundleError(f"it unpacks to more than {MAX_ARRAYS >> 20} MiB")
        for info in infos:
            with archive_.open(info) as member:
                shape, dtype = _header(member)
                size = int(np.prod(shape, dtype=object)) * dtype.itemsize
                if min(shape, default=0) < 0 or size != info.file_size - member.tell():
                    raise BundleError(f"{info.filename[:80]} is not as large as it claims")


def _header(member: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    readers: dict[tuple[int, int], Callable[[Any], Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, _, dtype = readers[version](member)
    return shape, dtype
