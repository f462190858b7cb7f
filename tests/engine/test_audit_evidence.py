"""Bundles of real environments: what one changed library does to them, and images from inside."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from paritylab import cache, catalog, hostpip, locks
from paritylab.audit import archive, bundle, conduct, verify
from paritylab.audit.diff import State, diff
from paritylab.audit.evidence import gather
from paritylab.audit.plan import Request
from paritylab.audit.rerun import rerun
from paritylab.cli import load
from paritylab.cli.app import app
from paritylab.matrix import Selection
from paritylab.plan import Options, cells_of

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from packages import make_wheel

from paritylab.wheelhouse import sha256

PROJECT = Path(__file__).parents[2]
FIXTURES = PROJECT / "tests/fixtures/valid"
QUIET = Progress(disable=True)
load()  # commands are called here without a command line
PROGRAM = """\
import alpha
import numpy


def run(inputs, workdir):
    doubled = inputs["x"] * numpy.float32(2)
    if alpha.VERSION != "1.0":
        doubled[0] = numpy.nextafter(doubled[0], numpy.float32(9))
    return {"doubled": doubled, "rounds": 1, "style": "eager"}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fixture project with an environment of NumPy and two small libraries, alpha and beta."""
    root, store = tmp_path / "project", cache.folder("wheels")
    shutil.copytree(FIXTURES, root)
    lab = root / "labs/double"
    (lab / "pytorch.py").write_text(PROGRAM)
    settings = (lab / "lab.toml").read_text()
    (lab / "lab.toml").write_text(settings + '\n[implementations.pytorch]\nrequires = ["alpha"]\n')
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PARITYLAB_ROOT", str(root))
    pin = numpy_pin()
    if (store / pin.hashes[0]).is_dir():
        shutil.copytree(store / pin.hashes[0], cache.folder("wheels") / pin.hashes[0])
    links = f"{os.environ.get('PIP_FIND_LINKS', '')} {tmp_path / 'links'}".strip()
    monkeypatch.setenv("PIP_FIND_LINKS", links)
    hostpip.settings.cache_clear()
    yield root
    hostpip.settings.cache_clear()


def numpy_pin() -> locks.Pin:
    """NumPy as the environment tf2 has it."""
    return locks.parse_lock(PROJECT / "environments/tf2/cpu.lock")["numpy"]


def lock(root: Path, **versions: str) -> None:
    """Lock NumPy and libraries of these versions."""
    folder = root / "environments/tiny"
    wheels = {n: make_wheel(root.parent / "links", n, v) for n, v in versions.items()}
    pins = [locks.Pin(name=n, version=versions[n], hashes=(sha256(w),)) for n, w in wheels.items()]
    (folder / "cpu.in").write_text("".join(f"{pin.name}\n" for pin in pins))
    (folder / "cpu.lock").write_text("")
    stack = catalog.load(root).environments["tiny"].stacks["cpu"]
    text = "".join(f"{pin.requirement}\n" for pin in [numpy_pin(), *pins])
    stack.lock.write_text(locks.header(stack, "3.11") + text)


def audited(root: Path, name: str) -> Path:
    """Audit the project as it is now; return the bundle."""
    options = Options(engine="venv", root=root)
    request = Request(variations=("repeat",), pairs=0)
    prepared = conduct.prepare(cells_of(options), options, request, jobs=2)
    conduct.run_audit(prepared, out=root.parent / name, jobs=2)
    evidence = gather(root.parent / name, root)
    path = root.parent / f"{name}.zip"
    bundle.write(path, evidence, key=None, progress=QUIET)
    return path


@pytest.mark.frameworks
def test_a_changed_library_is_named(project: Path) -> None:
    """Two libraries were upgraded; one cell moved. The library that its program needs is named.

    What stayed equal is told, too, and running the first bundle again on what is there now says
    the same.
    """
    lock(project, alpha="1.0", beta="1.0")
    before = verify.read(audited(project, "before"))
    assert before.installations["tiny-cpu"].sound
    lock(project, alpha="1.1", beta="2.0")
    after = verify.read(audited(project, "after"))
    found = diff(before, after)
    cells = {one.cell: one for one in found.cells}
    moved = cells["double-pytorch@tiny-cpu"]
    assert moved.state is State.MOVED
    assert (moved.first.output, moved.first.ulp) == ("doubled", 1)
    assert moved.goes_with[0].sentence == "package alpha: 1.0 -> 1.1"
    assert moved.goes_with[0].stayed == 0
    assert cells["double-tf2@tiny-cpu"].state is State.EQUAL
    assert found.verdict.endswith("goes with: package alpha: 1.0 -> 1.1")
    again = rerun(before, project, engine=None, base="auto")
    assert again.outcomes == {
        "double-pytorch@tiny-cpu": "close", "double-tf2@tiny-cpu": "identical"
    }  # fmt: skip
    assert again.diff.verdict.endswith("goes with: package alpha: 1.0 -> 1.1")


@pytest.mark.frameworks
def test_the_command_line_packs_verifies_and_compares(project: Path) -> None:
    """Exit codes and words that scripts and people rely on."""
    lock(project, alpha="1.0")
    path = audited(project, "audit")
    runner, folder = CliRunner(), project.parent
    packed = runner.invoke(
        app, ["bundle", str(folder / "audit"), "--out", str(folder / "again.zip")]
    )
    assert packed.exit_code == 0, packed.output
    assert (folder / "again.zip").read_bytes() == path.read_bytes()
    done = runner.invoke(app, ["verify", str(path), "--rerun", "--json", str(folder / "r.json")])
    assert done.exit_code == 0, done.output
    assert json.loads((folder / "r.json").read_bytes())["verdict"].startswith("2 of 2 cells")
    same = runner.invoke(app, ["diff", str(path), str(path), "--html", str(folder / "d.html")])
    assert same.exit_code == 0, same.output
    lock(project, alpha="1.1")
    other = audited(project, "other")
    assert runner.invoke(app, ["diff", str(path), str(other)]).exit_code == 1
    assert runner.invoke(app, ["verify", str(path), "--rerun"]).exit_code == 1


@pytest.mark.docker
@pytest.mark.frameworks
def test_an_image_is_examined_from_inside(tmp_path: Path) -> None:
    """A real image: every file as RECORD, wheel and lock say; image and base packages recorded."""
    chosen = Selection(labs=("multiply",), implementations=("pytorch",), environments=("tf2",))
    options = Options(selection=chosen, engine="docker", base="bootstrap", root=PROJECT)
    prepared = conduct.prepare(
        cells_of(options), options, Request(variations=("repeat",), pairs=0), jobs=2
    )
    conduct.run_audit(prepared, out=tmp_path / "audit", jobs=2)
    evidence = gather(tmp_path / "audit", PROJECT)
    bundle.write(tmp_path / "audit.zip", evidence, key=None, progress=QUIET)
    found = verify.read(tmp_path / "audit.zip")
    image = found.facts["stacks"]["tf2-cpu"]["image"]
    assert image.startswith("sha256:")
    installation = found.installations["tf2-cpu"]
    assert installation.sound
    assert {one.name for one in installation.distributions} == set(found.pins["tf2-cpu"])
    assert sum(one.files for one in installation.distributions) > 10_000
    assert all(one.wheel for one in installation.distributions)
    members = archive.unpack(tmp_path / "audit.zip")
    bill = json.loads(members["environments/tf2-cpu/sbom.cdx.json"])
    assert any(one["purl"].startswith("pkg:deb/debian/libc6@") for one in bill["components"])
    told = json.loads(members["statement.json"])["predicate"]["buildDefinition"]
    dependencies = {one["name"]: one["digest"] for one in told["resolvedDependencies"]}
    assert dependencies["tf2-cpu"] == {"sha256": image.removeprefix("sha256:")}
    assert found.facts["engine"]["version"]
    # A resumed audit may not have started the image again: it is known by its lock.
    document = json.loads((tmp_path / "audit/audit.json").read_bytes())
    document["facts"]["images"] = {}
    (tmp_path / "audit/audit.json").write_text(json.dumps(document))
    assert gather(tmp_path / "audit", PROJECT).images == {"tf2-cpu": image}
