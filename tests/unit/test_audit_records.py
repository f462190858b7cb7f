"""Installed files held against RECORD, wheel and lock, in a real virtual environment."""

import ast
import json
import marshal
import os
import py_compile
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st
from packages import make_wheel
from rich.progress import Progress
from test_venvs import environment

from paritylab import catalog, venvs
from paritylab.audit import inside, inventory, records, sbom
from paritylab.audit.inventory import Inventory
from paritylab.errors import EngineError
from paritylab.locks import Pin, parse_lock
from paritylab.stacks import Environment

__all__ = ["environment"]
QUIET = Progress(disable=True)
CREATED = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def python(environment: Environment) -> Path:
    """The Python of a new virtual environment that holds the package `alpha`."""
    return venvs.ensure(environment, "cpu", QUIET)


def site(python: Path) -> Path:
    """Its site-packages."""
    [found] = python.parent.parent.glob("lib/python*/site-packages")
    return found


def examined(environment: Environment, python: Path) -> records.Installation:
    """What an examination finds there."""
    pins = parse_lock(environment.stacks["cpu"].lock)
    return records.examine(inventory.of_venv(python), pins)


def test_an_untouched_environment_is_sound(environment: Environment, python: Path) -> None:
    """Every file as RECORD and the lock's wheel say; byte code fits its source."""
    found = examined(environment, python)
    assert found.sound
    [alpha] = found.distributions
    assert (alpha.name, alpha.version, alpha.pinned) == ("alpha", "1.0", True)
    assert alpha.wheel in parse_lock(environment.stacks["cpu"].lock)["alpha"].hashes
    assert alpha.wheel_files == 6
    assert alpha.modules == ("alpha",)
    assert found.byte_code >= 1
    assert not any("alpha" in line for line in found.unknown)


def replace_module(folder: Path) -> None:
    """Change what is imported."""
    (folder / "alpha/__init__.py").unlink()  # it may be a link to the store's file
    (folder / "alpha/__init__.py").write_text("VERSION = '6.6'\n")


def cover_up(folder: Path) -> None:
    """Change a file and RECORD with it: only the wheel still tells."""
    replace_module(folder)
    digest = "sha256=" + records.base64.urlsafe_b64encode(
        bytes.fromhex(inventory_digest(folder / "alpha/__init__.py"))
    ).decode().rstrip("=")
    record = folder / "alpha-1.0.dist-info/RECORD"
    lines = record.read_text().splitlines()
    record.unlink()
    kept = [line for line in lines if not line.startswith("alpha/__init__.py")]
    record.write_text("\n".join([*kept, f"alpha/__init__.py,{digest},16"]) + "\n")


def inventory_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return records.sha256(path)


def poison(folder: Path) -> None:
    """Byte code of another source."""
    [code] = folder.glob("alpha/__pycache__/__init__.*.pyc")
    code.write_bytes(code.read_bytes()[:8] + bytes(8) + code.read_bytes()[16:])


def uninstall(folder: Path) -> None:
    """Take the package's RECORD away."""
    (folder / "alpha-1.0.dist-info/RECORD").unlink()


def upgrade(folder: Path) -> None:
    """Another version than the lock's."""
    path = folder / "alpha-1.0.dist-info/METADATA"
    text = path.read_text().replace("Version: 1.0", "Version: 1.1")
    path.unlink()
    path.write_text(text)


FAULTS: dict[str, tuple[Callable[[Path], None], Callable[[records.Installation], object]]] = {
    "changed": (replace_module, lambda i: i.distributions[0].changed),
    "covered-up": (cover_up, lambda i: i.distributions[0].not_wheel),
    "byte-code": (poison, lambda i: i.stale_byte_code),
    "no-record": (uninstall, lambda i: i.absent),
    "version": (upgrade, lambda i: not i.distributions[0].pinned),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_was_changed_is_told(fault: str, environment: Environment, python: Path) -> None:
    """Each sort of tampering is seen, and the environment is not sound any more."""
    change, told = FAULTS[fault]
    change(site(python))
    found = examined(environment, python)
    assert told(found)
    assert not found.sound


CODE = f"alpha/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"


@pytest.fixture
def bringing(environment: Environment, tmp_path: Path) -> Environment:
    """An environment whose package brings byte code of its own, as NumPy's wheel does."""
    wheel = make_wheel(tmp_path / "links", "alpha", more={CODE: "of another day"})
    lock = environment.stacks["cpu"].lock
    pinned = re.sub("--hash=sha256:.*", f"--hash=sha256:{records.sha256(wheel)}", lock.read_text())
    lock.write_text(pinned)
    loaded = catalog.load(environment.folder.parent.parent)
    return loaded.environments["tiny"]


def test_byte_code_that_the_installer_compiled_again_is_derived(bringing: Environment) -> None:
    """Neither RECORD nor wheel has its hash, but it is what the sound source compiles to."""
    found = examined(bringing, venvs.ensure(bringing, "cpu", QUIET))
    [alpha] = found.distributions
    assert [Path(path).name for path in alpha.recompiled] == [Path(CODE).name]
    assert alpha.changed == alpha.not_wheel == ()
    assert found.sound


def forge(folder: Path) -> None:
    """Other instructions under a header that fits the source."""
    code = compile("VERSION = '6.6'\n", str(folder / "alpha/__init__.py"), "exec")
    (folder / CODE).write_bytes((folder / CODE).read_bytes()[:16] + marshal.dumps(code))


def forge_inside(folder: Path) -> None:
    """Another constant deep inside, nothing else."""
    replaced = (folder / CODE).read_bytes().replace(b"1.0", b"6.6")
    (folder / CODE).write_bytes(replaced)


def garble(folder: Path) -> None:
    """No byte code at all behind the header."""
    (folder / CODE).write_bytes((folder / CODE).read_bytes()[:16] + b"\xff\xff")


def compile_another(folder: Path) -> None:
    """Byte code that fits its source, which is not the package's any more."""
    replace_module(folder)
    py_compile.compile(str(folder / "alpha/__init__.py"), str(folder / CODE), doraise=True)


@pytest.mark.parametrize("change", [forge, forge_inside, garble, compile_another])
def test_byte_code_of_something_else_is_not_derived(
    bringing: Environment, change: Callable[[Path], None]
) -> None:
    """It must be, instruction by instruction, what a sound source compiles to."""
    python = venvs.ensure(bringing, "cpu", QUIET)
    change(site(python))
    found = examined(bringing, python)
    [alpha] = found.distributions
    assert alpha.recompiled == ()
    for told in (alpha.changed, alpha.not_wheel):
        assert any(path.endswith(CODE) for path in told)
    assert not found.sound


def test_a_file_that_no_package_has_is_listed(environment: Environment, python: Path) -> None:
    """With its hash, so that two environments can be compared."""
    (site(python) / "sitecustomize.py").write_text("import os\n")
    found = examined(environment, python)
    [line] = [line for line in found.unknown if "sitecustomize.py" in line]
    assert line.endswith(f"sha256:{records.sha256(site(python) / 'sitecustomize.py')}")


def test_a_missing_file_is_counted(environment: Environment, python: Path) -> None:
    """Images leave files out on purpose; how many is told."""
    (site(python) / "alpha/tests/test_alpha.py").unlink()
    [alpha] = examined(environment, python).distributions
    assert alpha.missing == 1
    assert alpha.missing_examples[0].endswith("alpha/tests/test_alpha.py")


def test_a_python_that_says_nothing_is_an_error(tmp_path: Path) -> None:
    """No inventory is no evidence."""
    (tmp_path / "bin").mkdir()
    silent = tmp_path / "bin/python"
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    with pytest.raises(EngineError, match="no inventory"):
        inventory.of_venv(silent)


@given(text=st.text(max_size=300), path=st.text(max_size=30))
def test_any_record_and_metadata_are_read(text: str, path: str) -> None:
    """A package's own files may hold anything; the worst outcome is a package that is not sound."""
    found = Inventory(
        python="3", files={path: ("00", 1)}, links={}, byte_code=0, stale=(), compiled=(),
        unreadable=(),
        texts={"lib/site-packages/a-1.dist-info/RECORD": text,
               "lib/site-packages/a-1.dist-info/METADATA": text}, system={},
    )  # fmt: skip
    pins = {"a": Pin(name="a", version="1", hashes=("0" * 64,))}
    assert len(records.examine(found, pins).distributions) == 1


def test_the_bill_of_materials_keeps_the_schema(environment: Environment, python: Path) -> None:
    """CycloneDX 1.6 by its own JSON schema: packages with wheel hashes, Debian packages, needs."""
    installation = examined(environment, python)
    system = {"/etc/base.packages": "libc6:amd64\t2.36-9\npython3.11\t3.11.2-6\n"}
    data = sbom.document("tiny-cpu", installation, system, created=CREATED)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    plain = json.loads(data)
    purls = {one["purl"]: one for one in plain["components"]}
    assert (
        purls["pkg:pypi/alpha@1.0"]["hashes"][0]["content"] == installation.distributions[0].wheel
    )
    assert "pkg:deb/debian/libc6@2.36-9?arch=amd64" in purls
    assert data == sbom.document("tiny-cpu", installation, system, created=CREATED)


def test_what_is_no_file_is_told_and_never_opened(tmp_path: Path) -> None:
    """Opening a pipe that somebody left in an environment would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    found = inside.examine(str(tmp_path), system=False)
    assert found["unreadable"] == ["pipe: no file"]
    assert found["links"] == {"link": "pipe"}
    assert not found["files"]


def test_the_examination_parses_as_python_3_7() -> None:
    """It runs in the oldest environment, too."""
    ast.parse(inventory.SCRIPT, feature_version=(3, 7))
