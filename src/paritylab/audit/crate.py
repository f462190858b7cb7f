"""The bundle described as a Workflow Run RO-Crate (RO-Crate 1.1, profile collection 0.5).

The plan is the workflow, the audit its run: a CreateAction from locks, programs and images to the
audit document, the outputs and the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rocrate.model import ComputationalWorkflow, ContextEntity, File, SoftwareApplication
from rocrate.model.computerlanguage import ComputerLanguage
from rocrate.rocrate import ROCrate

from paritylab.audit import documents
from paritylab.audit.archive import Members
from paritylab.audit.statement import sha256

FILE = "ro-crate-metadata.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
LICENCE = "https://spdx.org/licenses/MIT"
TYPES = {
    ".json": "application/json",
    ".html": "text/html",
    ".lock": "text/plain",
    ".toml": "application/toml",
    ".py": "text/x-python",
    ".md": "text/markdown",
    ".npz": "application/zip",
}


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the crate tells about the run: title, words, version, when, the plan's file, results.

    ``results`` are the members that the run made, all others are what it was given; ``images``
    maps names to image ids.
    """

    title: str
    description: str
    version: str
    begun: str
    ended: str
    plan: str
    results: frozenset[str]
    images: Mapping[str, str]


def describe(members: Members, story: Story) -> bytes:
    """Return ``ro-crate-metadata.json`` for ``members``; the same input gives the same bytes."""
    crate = ROCrate(version="1.1")
    files = {name: _file(crate, name, content, story) for name, content in sorted(members.items())}
    root = crate.root_dataset
    root["name"], root["description"] = story.title, story.description
    root["datePublished"] = story.ended
    root["license"] = crate.add(
        ContextEntity(crate, LICENCE, {"@type": "CreativeWork", "name": "MIT License"})
    )
    root["conformsTo"] = [_profile(crate, *facts) for facts in sorted(PROFILES.items())]
    crate.mainEntity = files[story.plan]
    inputs = [files[name] for name in sorted(files) if name not in {*story.results, story.plan}]
    results = [files[name] for name in sorted(story.results)]
    files[story.plan]["programmingLanguage"] = _language(crate, story.version)
    root["mentions"] = [_action(crate, story, files[story.plan], inputs, results)]
    return documents.dump(_settled(crate.metadata.generate()))


def _file(crate: Any, name: str, content: bytes, story: Story) -> Any:
    suffix = name[name.rfind(".") :]
    properties = {
        "name": name,
        "contentSize": str(len(content)),
        "sha256": sha256(content),
        "encodingFormat": TYPES.get(suffix, "application/octet-stream"),
    }
    kind = ComputationalWorkflow if name == story.plan else File
    return crate.add(kind(crate, name, dest_path=name, properties=properties))


def _profile(crate: Any, address: str, facts: tuple[str, str]) -> Any:
    name, version = facts
    return crate.add(
        ContextEntity(crate, address, {"@type": "CreativeWork", "name": name, "version": version})
    )


def _language(crate: Any, version: str) -> Any:
    properties = {"name": "paritylab audit plan", "version": version}
    return crate.add(ComputerLanguage(crate, "#plan-language", properties=properties))


def _action(
    crate: Any, story: Story, plan: Any, inputs: Sequence[Any], results: Sequence[Any]
) -> Any:
    times = {"startTime": story.begun, "endTime": story.ended}
    done = {"actionStatus": {"@id": "http://schema.org/CompletedActionStatus"}}
    facts = {"@type": "CreateAction", "name": story.title, **times, **done}
    action = crate.add(ContextEntity(crate, "#run", facts))
    images = [_image(crate, name, one) for name, one in sorted(story.images.items())]
    action["instrument"], action["object"] = plan, [*inputs, *images]
    action["result"] = list(results)
    agent = {"@type": "OrganizeAction", "name": "paritylab runs the plan", **times}
    organised = crate.add(ContextEntity(crate, "#organise", agent))
    software = {"name": "paritylab", "softwareVersion": story.version}
    organised["instrument"] = crate.add(
        SoftwareApplication(crate, "#paritylab", properties=software)
    )
    organised["result"] = action
    return action


def _image(crate: Any, name: str, image_id: str) -> Any:
    facts = {"@type": "SoftwareApplication", "name": name, "identifier": image_id}
    return crate.add(ContextEntity(crate, f"#image-{name}", facts))


def _settled(metadata: dict[str, Any]) -> dict[str, Any]:
    """The graph in a fixed order."""
    metadata["@graph"] = sorted(metadata["@graph"], key=lambda entity: str(entity["@id"]))
    return metadata
