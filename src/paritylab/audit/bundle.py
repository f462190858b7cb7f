"""An audit packed for somebody who trusts nothing: results, inputs, identities, one statement."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.progress import Progress

from paritylab import checkout, venvs
from paritylab.atomic import write as write_atomically
from paritylab.audit import archive, crate, documents, facts, sbom, signing, statement
from paritylab.audit.inventory import Inventory, of_image, of_venv
from paritylab.audit.model import Audit, to_json
from paritylab.audit.page import page
from paritylab.audit.records import Installation, examine
from paritylab.audit.statement import Dependency, Origin
from paritylab.engines.dockerclient import open_client
from paritylab.errors import BundleError
from paritylab.locks import parse_lock
from paritylab.model import Cell
from paritylab.stacks import Environment

SCHEMA = 1
"""Version of the members beside the audit document; a newer one is refused."""
AUDIT, PLAN, FACTS, REPORT = "audit.json", "plan.json", "facts.json", "report.html"
OUTPUTS = "outputs"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a bundle is made of.

    ``cells`` are those of the audit, ``baselines`` the folder with the files that
    ``CellAudit.baseline`` names, ``engine`` where the baselines ran, ``images`` the image ids by
    ``<environment>-<device>`` (docker), ``root`` the checkout.
    """

    root: Path
    audit: Audit
    cells: Sequence[Cell]
    baselines: Path
    engine: str
    images: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """An environment's files as they were found, and what vouches for them."""

    inventory: Inventory
    installation: Installation


def write(path: Path, evidence: Evidence, *, key: Path | None, progress: Progress) -> str:
    """Write the bundle of an audit; return its SHA-256.

    Every installed file of every environment is hashed inside it, which takes some ten seconds
    each. ``key`` is a PEM file with a private key that signs. Raises BundleError, UsageError (key),
    EngineError.
    """
    signer = signing.signer(key) if key else None
    examined = _examined(evidence, progress)
    members = dict(_members(evidence, examined))
    members[crate.FILE] = crate.describe(members, _story(evidence, members))
    members[statement.FILE] = statement.make(members, _origin(evidence, members))
    if signer:
        members[statement.ENVELOPE] = signing.envelope(members[statement.FILE], signer)
    data = archive.pack(members)
    write_atomically(path, data)
    return statement.sha256(data)


def collect(cells: Sequence[Cell], engine: str, images: Mapping[str, str], root: Path) -> Any:
    """Return the facts of this machine and project that results may depend on (facts.json)."""
    device = cells[0].device if cells else "cpu"
    return {
        "schema_version": SCHEMA,
        "project": checkout.project(root),
        "host": facts.host(device),
        "engine": facts.engine(engine),
        "stacks": {
            name: facts.stack(environment, device, images.get(name))
            for name, (environment, device) in stacks(cells).items()
        },
        "labs": facts.labs(cells),
    }


def stacks(cells: Sequence[Cell]) -> dict[str, tuple[Environment, str]]:
    """Environment and device of the cells, by ``<environment>-<device>``, sorted."""
    found = {
        f"{cell.environment.name}-{cell.device}": (cell.environment, cell.device)
        for cell in cells
        if not cell.unsupported
    }
    return dict(sorted(found.items()))


def _examined(evidence: Evidence, progress: Progress) -> dict[str, Examined]:
    if evidence.engine == "here":
        return {}
    wanted = stacks(evidence.cells)
    task = progress.add_task("hashing installed files", total=len(wanted))

    def one(name: str) -> Examined:
        environment, device = wanted[name]
        pins = parse_lock(environment.stacks[device].lock)
        if evidence.engine == "docker":
            inventory = of_image(open_client(), evidence.images[name])
        else:
            inventory = of_venv(venvs.ensure(environment, device, progress))
        progress.advance(task)
        return Examined(inventory=inventory, installation=examine(inventory, pins))

    # Each is a process of its own, and hashing keeps it busy.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(wanted, pool.map(one, wanted), strict=True))


def _members(evidence: Evidence, examined: Mapping[str, Examined]) -> Iterator[tuple[str, bytes]]:
    audit = evidence.audit
    text = to_json(audit)
    plain = json.loads(text)
    told = collect(evidence.cells, evidence.engine, evidence.images, evidence.root)
    yield AUDIT, text
    yield PLAN, documents.dump(plan_of(plain))
    # The commit that was audited; by now there may be another.
    told["project"] = audit.facts.get("project") or told["project"]
    yield FACTS, documents.dump(told)
    for name in sorted({cell.baseline for cell in audit.cells if cell.baseline}):
        yield f"{OUTPUTS}/{name}", _baseline(evidence.baselines / name)
    for name, (environment, device) in stacks(evidence.cells).items():
        folder, stack = f"environments/{name}", environment.stacks[device]
        for file in (stack.lock, stack.requirements, environment.folder / "environment.toml"):
            if stack.lock_digest:  # else it is this interpreter, which no file describes
                yield f"{folder}/{file.name}", file.read_bytes()
        if name in examined:
            found = examined[name]
            created = datetime.fromisoformat(audit.created)
            yield f"{folder}/installed.json", documents.dump(asdict(found.installation))
            yield (
                f"{folder}/sbom.cdx.json",
                sbom.document(name, found.installation, found.inventory.system, created=created),
            )
    for lab in {cell.lab.slug: cell.lab for cell in evidence.cells}.values():
        for name, content in facts.sources(lab).items():
            yield f"labs/{lab.slug}/{name}", content
    sound = {name: one.installation for name, one in examined.items()}
    yield REPORT, page(audit, told, sound, folder=evidence.baselines).encode()


def plan_of(audit: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an audit document that was known before it ran: the workflow of the crate."""
    cells = [one["cell"] for one in audit["cells"]]
    return {"plan": audit["plan"], "variations": audit["variations"], "cells": cells}


def _baseline(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise BundleError(
            f"the baseline's outputs cannot be read: {fault.strerror}",
            where=path.name,
            fix="audit again",
        ) from None


def _story(evidence: Evidence, members: archive.Members) -> crate.Story:
    audit = evidence.audit
    made = {AUDIT, REPORT} | {name for name in members if name.startswith(f"{OUTPUTS}/")}
    return crate.Story(
        title=f"paritylab audit of {len(audit.cells)} cells",
        description=(
            f"PARTIAL: {audit.partial}"
            if audit.partial
            else "Do these labs reproduce, how far, and under which changes?"
        ),
        version=audit.paritylab,
        begun=audit.created,
        ended=audit.created,
        plan=PLAN,
        results=frozenset(made),
        images=dict(evidence.images),
    )


def _origin(evidence: Evidence, members: archive.Members) -> Origin:
    told = json.loads(members[FACTS])
    found = []
    if told["project"]["commit"]:
        commit = {"gitCommit": told["project"]["commit"]}
        found.append(Dependency(name="project", uri="urn:paritylab:project", digests=commit))
    for name, stack in told["stacks"].items():
        if stack["image"]:
            image = {"sha256": stack["image"].removeprefix("sha256:")}
            found.append(Dependency(name=name, uri=f"urn:paritylab:image:{name}", digests=image))
        else:
            lock = {"sha256": stack["lock"]}
            found.append(Dependency(name=name, uri=f"urn:paritylab:lock:{name}", digests=lock))
    return Origin(
        version=evidence.audit.paritylab,
        begun=datetime.fromisoformat(evidence.audit.created),
        parameters={
            "engine": evidence.engine,
            "cells": len(evidence.audit.cells),
            "partial": evidence.audit.partial or "",
            "dirty": told["project"]["dirty"],
        },
        dependencies=found,
    )
