"""The shape of facts.json, as it is read from strangers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from paritylab.strict import Strict

Text = Annotated[str, Field(max_length=100_000)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]
Words = dict[Text, Text]


class ProjectFacts(Strict):
    """See ``checkout.project``."""

    commit: Text | None
    dirty: bool | None
    changed: list[Text]
    why: Text


class StackFacts(Strict):
    """See ``facts.stack``."""

    environment: Name
    device: Name
    python: Text
    lock: Text
    base: Text
    base_tag: Text
    image: Text | None
    packages: Words
    profiles: dict[Text, Words]
    device_profiles: dict[Text, Words]
    device_variables: Words
    preload: dict[Text, list[Text]]


class OutputFacts(Strict):
    """How a lab declares one output."""

    compare: Text
    steps: bool
    bits: bool


class LabFacts(Strict):
    """See ``facts.labs``."""

    seed: int
    outputs: dict[Text, OutputFacts]
    files: dict[Name, Text]
    requires: dict[Text, list[Text]]


class Facts(Strict):
    """The whole file; ``host`` and ``engine`` may tell more than this version knows."""

    schema_version: Literal[1]
    project: ProjectFacts
    host: dict[Text, Any]
    engine: dict[Text, Any]
    stacks: dict[Name, StackFacts]
    labs: dict[Name, LabFacts]
