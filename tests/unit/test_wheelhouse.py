import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from packages import make_sdist, make_wheel
from rich.console import Console
from rich.progress import Progress

from paritylab import hostpip, wheelhouse
from paritylab.errors import ImageError
from paritylab.locks import Pin
from paritylab.sources import build_wheel
from paritylab.wheelhouse import sha256


@pytest.fixture
def links(tmp_path: Path, monkeypatch) -> Path:
    """A folder of wheels that is all pip knows; an empty cache."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    hostpip.settings.cache_clear()
    yield folder
    hostpip.settings.cache_clear()


@pytest.fixture
def said() -> Progress:
    """A progress display that remembers what it said."""
    return Progress(console=Console(record=True, width=200), disable=False)


def pin_of(wheel: Path, *more: str) -> Pin:
    """Lock a file by its hash."""
    name, version = wheel.name.removesuffix(".tar.gz").split("-")[:2]
    return Pin(name=name, version=version, hashes=(*more, sha256(wheel)))


def gather(*pins: Pin, progress: Progress, python: str = "3.11", index: str | None = None) -> Path:
    """Make the wheelhouse of some pins."""
    by_name = {pin.name: pin for pin in pins}
    return wheelhouse.gather(by_name, python=python, index=index, name="t", progress=progress)


def test_the_wheels_are_those_of_the_target(links: Path, said: Progress) -> None:
    """A host with another Python makes the wheelhouse of Python 3.7."""
    old = make_wheel(links, "alpha", tag="cp37-cp37m-manylinux1_x86_64")
    make_wheel(links, "alpha", tag="cp311-cp311-manylinux_2_28_x86_64")
    plain = make_wheel(links, "beta")
    house = gather(pin_of(old), pin_of(plain), progress=said, python="3.7")
    assert {path.name for path in house.iterdir()} == {old.name, plain.name}


def test_wheels_are_shared_and_nothing_else_is_in_the_house(links: Path, said: Progress) -> None:
    """One copy on the disk for all environments; a file that does not belong is removed."""
    wheel, other = make_wheel(links, "alpha"), make_wheel(links, "beta")
    one = gather(pin_of(wheel), progress=said)
    two = gather(pin_of(wheel), pin_of(other), progress=said)
    assert (one / wheel.name).samefile(two / wheel.name)
    (one / "intruder-1.0-py3-none-any.whl").write_text("x")
    gather(pin_of(wheel), progress=said)
    assert [path.name for path in one.iterdir()] == [wheel.name]


def test_a_flipped_byte_is_named_and_fetched_again(links: Path, said: Progress) -> None:
    """The cache is never believed: every wheel is hashed at every call."""
    wheel = make_wheel(links, "alpha")
    house = gather(pin_of(wheel), progress=said)
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    (house / wheel.name).write_bytes(content)
    again = gather(pin_of(wheel), progress=said)
    assert (again / wheel.name).read_bytes() == wheel.read_bytes()
    assert f"{wheel.name} in the cache is damaged" in said.console.export_text()


def test_a_wheel_that_is_not_the_locked_one_is_refused(links: Path, said: Progress) -> None:
    """What a mirror made of a package cannot get in under its name."""
    wheel = make_wheel(links, "alpha")
    pin = Pin(name="alpha", version="1.0", hashes=("0" * 64,))
    with pytest.raises(ImageError, match="fetch alpha") as caught:
        gather(pin, progress=said)
    assert sha256(wheel) in caught.value.why


def test_one_that_is_missing_does_not_lose_the_others(links: Path, said: Progress) -> None:
    """The error names the package; what could be had is in the cache for the next try."""
    wheels = [make_wheel(links, name) for name in ("alpha", "beta", "gamma")]
    missing = Pin(name="delta", version="9", hashes=("1" * 64,))
    pins = [pin_of(wheel) for wheel in wheels]
    with pytest.raises(ImageError, match="delta 9"):
        gather(missing, *pins, progress=said)
    for wheel in wheels:
        wheel.unlink()
    assert len(list(gather(*pins, progress=said).iterdir())) == 3


def test_an_extra_index_out_of_reach_does_no_harm(links: Path, said: Progress) -> None:
    """It is asked only for what cannot be had otherwise."""
    wheel = make_wheel(links, "alpha", "1.0+cpu")
    start = time.monotonic()
    gather(pin_of(wheel), progress=said, index="https://127.0.0.1:1/simple")
    assert time.monotonic() - start < 10


def test_source_only_packages_are_built_to_the_same_bytes(links: Path, said: Progress) -> None:
    """A careless build (random order, today's date) still gives the wheel whose hash is locked."""
    tool = pin_of(make_wheel(links, "wheel"))
    archive = make_sdist(links, "relic")
    first = gather(tool, progress=said)
    pin = pin_of(archive)
    built = [build_wheel(pin, tools=first, into=_made(links.parent / n)) for n in ("a", "b")]
    assert built[0].read_bytes() == built[1].read_bytes()
    house = gather(tool, pin_of(built[0], *pin.hashes), progress=said)
    assert built[0].name in {path.name for path in house.iterdir()}


def test_killed_in_the_middle_it_goes_on_where_it_was(links: Path, tmp_path: Path, said) -> None:
    """Finished wheels stay: after a kill -9 only the rest is fetched."""
    wheels = [make_wheel(links, f"p{number}") for number in range(9)]
    lines = ",".join(f"{w.name.split('-')[0]!r}: {sha256(w)!r}" for w in wheels)
    code = f"""
from rich.progress import Progress
from paritylab import wheelhouse
from paritylab.locks import Pin
pins = {{n: Pin(name=n, version="1.0", hashes=(h,)) for n, h in {{{lines}}}.items()}}
wheelhouse.gather(pins, python="3.11", index=None, name="t", progress=Progress(disable=True))
"""
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    store = tmp_path / "cache" / "wheels"
    while not list(store.glob("*/*.whl")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path.name for path in store.glob("*/*.whl")}
    assert kept
    for name in kept:
        (links / name).unlink()
    assert len(list(gather(*(_pin(w, store) for w in wheels), progress=said).iterdir())) == 9


def _pin(wheel: Path, store: Path) -> Pin:
    found = wheel if wheel.exists() else next(store.glob(f"*/{wheel.name}"))
    return pin_of(found)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
