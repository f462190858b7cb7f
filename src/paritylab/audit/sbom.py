"""What an environment is made of, as a CycloneDX 1.6 bill of materials."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from paritylab.audit.records import Installation

_SPACE = uuid.UUID("6f1d3a9e-6d0c-5c52-9a40-1f1f8c0e7b11")
"""The name space of our serial numbers: an arbitrary constant."""


def document(
    name: str, installation: Installation, system: Mapping[str, str], *, created: datetime
) -> bytes:
    """Return the bill of materials of the environment ``name`` as JSON.

    Python packages come with the SHA-256 of the lock's wheel and with what they depend on;
    Debian packages of a bootstrapped base (``system``: /etc/base.packages) with their versions.
    The same facts give the same bytes.
    """
    components = {one.name: _package(one.name, one.version, one.wheel) for one in
                  installation.distributions}  # fmt: skip
    whole = Component(name=name, type=ComponentType.CONTAINER, bom_ref=name)
    debian = [_debian(*line.split("\t")[:2]) for line in _lines(system) if "\t" in line]
    bom = Bom(components=[*components.values(), *debian])
    bom.metadata.component, bom.metadata.timestamp = whole, created
    bom.metadata.properties.add(Property(name="paritylab:python", value=installation.python))
    for one in installation.distributions:
        needs = [components[other] for other in one.requires if other in components]
        bom.register_dependency(components[one.name], needs)
    bom.register_dependency(whole, list(components.values()))
    facts = "\n".join(str(one.purl) for one in bom.components)
    bom.serial_number = uuid.uuid5(_SPACE, f"{name}\n{created.isoformat()}\n{facts}")
    return JsonV1Dot6(bom).output_as_string(indent=1).encode() + b"\n"


def _package(name: str, version: str, wheel: str | None) -> Component:
    found = PackageURL(type="pypi", name=name, version=version)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=wheel)] if wheel else []
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=found,
        bom_ref=found.to_string(),
        hashes=hashes,
    )


def _debian(name: str, version: str) -> Component:
    bare, _, architecture = name.partition(":")
    qualifiers = {"arch": architecture} if architecture else None
    found = PackageURL(
        type="deb", namespace="debian", name=bare, version=version, qualifiers=qualifiers
    )
    return Component(
        name=bare,
        version=version,
        type=ComponentType.LIBRARY,
        purl=found,
        bom_ref=found.to_string(),
    )


def _lines(system: Mapping[str, str]) -> list[str]:
    return system.get("/etc/base.packages", "").splitlines()
