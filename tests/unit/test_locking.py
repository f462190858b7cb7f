import os
from pathlib import Path

import pytest
from packages import make_sdist, make_wheel
from rich.progress import Progress

from paritylab import catalog, hostpip, locking, locks
from paritylab.errors import LockError, UsageError
from paritylab.wheelhouse import sha256

QUIET = Progress(disable=True)


@pytest.fixture
def links(tmp_path: Path, monkeypatch) -> Path:
    """A folder of wheels that is all pip, and so uv, knows."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    hostpip.settings.cache_clear()
    yield folder
    hostpip.settings.cache_clear()


def lock(project: Path, wanted: str, *, upgrade: bool = False) -> dict[str, locks.Pin]:
    """Write the .in file of the fixture's environment, lock it, read the pins."""
    stack = catalog.load(project).environments["tiny"].stacks["cpu"]
    stack.requirements.write_text(wanted + "\n")
    locking.lock_all(catalog.load(project).environments, ["tiny"], upgrade=upgrade, progress=QUIET)
    return locks.checked(stack, "3.11")


def test_one_wheel_per_package_that_of_the_target(links: Path, project: Path) -> None:
    """Of all files of a release, the lock holds the one that an installer takes there."""
    make_wheel(links, "alpha")
    best = make_wheel(links, "alpha", tag="cp311-cp311-manylinux_2_17_x86_64")
    make_wheel(links, "alpha", tag="cp311-cp311-macosx_11_0_arm64")
    make_wheel(links, "alpha", tag="cp37-cp37m-manylinux1_x86_64")
    assert lock(project, "alpha")["alpha"].hashes == (sha256(best),)


def test_versions_stay_until_an_upgrade_is_asked_for(links: Path, project: Path) -> None:
    """Locking again changes nothing by itself, not even when there is something newer."""
    make_wheel(links, "alpha", "1.0")
    lock(project, "alpha")
    before = (project / "environments/tiny/cpu.lock").read_bytes()
    make_wheel(links, "alpha", "2.0")
    assert lock(project, "alpha")["alpha"].version == "1.0"
    assert (project / "environments/tiny/cpu.lock").read_bytes() == before
    assert lock(project, "alpha", upgrade=True)["alpha"].version == "2.0"


def test_nothing_of_this_machine_is_in_the_lock(links: Path, project: Path) -> None:
    """No folder of wheels, no index."""
    make_wheel(links, "alpha")
    lock(project, "alpha")
    text = (project / "environments/tiny/cpu.lock").read_text()
    assert str(links) not in text
    assert "://" not in text
    assert "# via -r cpu.in" in text


def test_a_source_archive_brings_the_hash_of_its_wheel(links: Path, project: Path) -> None:
    """So the lock installs from a wheelhouse, although no wheel was ever published."""
    make_wheel(links, "wheel")
    archive = make_sdist(links, "relic")
    pin = lock(project, "relic\nwheel")["relic"]
    assert pin.hashes[0] == sha256(archive)
    assert len(pin.hashes) == 2


def test_a_file_of_somebody_else_is_not_overwritten(links: Path, project: Path) -> None:
    """`nox -s lock` refuses what it did not write, and leaves it as it is."""
    foreign = project / "environments/tiny/cpu.lock"
    foreign.write_text("alpha==1.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(LockError, match="not written by us"):
        lock(project, "alpha")
    assert foreign.read_text().startswith("alpha==1.0")


def test_no_solution_is_told_in_the_solvers_words(links: Path, project: Path) -> None:
    """What cannot be had is named, and the file to change."""
    with pytest.raises(LockError) as caught:
        lock(project, "nowhere==1")
    assert "nowhere" in caught.value.why
    assert caught.value.fix == "change tiny/cpu.in, then `nox -s lock`"


def test_an_unknown_environment(project: Path) -> None:
    """A typing error gets the nearest name."""
    with pytest.raises(UsageError) as caught:
        locking.lock_all(catalog.load(project).environments, ["tinny"], progress=QUIET)
    assert caught.value.why == "did you mean `tiny`?"


def test_an_override_is_told_without_where_its_file_lay(links: Path, project: Path) -> None:
    """The file that uv reads overrides from is a temporary one of this machine."""
    for version in ("1.0", "2.0"):
        make_wheel(links, "alpha", version)
    toml = project / "environments/tiny/environment.toml"
    toml.write_text(toml.read_text().replace("\ntag", '\noverrides = ["alpha==1.0"]\ntag', 1))
    assert lock(project, "alpha")["alpha"].version == "1.0"
    text = (project / "environments/tiny/cpu.lock").read_text()
    assert "overrides" in text
    assert not any(word.startswith("/") for word in text.split())
