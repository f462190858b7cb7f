import contextlib
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paritylab import locks
from paritylab.catalog import load
from paritylab.errors import LockError
from paritylab.locks import Pin

names = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(\+[a-z0-9]{1,6})?", fullmatch=True)
hashes = st.lists(
    st.text("0123456789abcdef", min_size=64, max_size=64), min_size=1, max_size=3, unique=True
)
pins = st.builds(
    lambda name, version, hashes: Pin(name=name, version=version, hashes=tuple(hashes)),
    names,
    versions,
    hashes,
)
lock_pins = st.lists(pins, unique_by=lambda pin: pin.name, max_size=8)
comments = st.text(string.ascii_letters + " #\\=", max_size=20)


def written(found: list[Pin], remark: str = "via nobody") -> str:
    """The pins in the shape that ``nox -s lock`` writes."""
    lines = []
    for pin in found:
        lines.append(f"{pin.name}=={pin.version} \\")
        lines += [f"    --hash=sha256:{digest} \\" for digest in pin.hashes[:-1]]
        lines += [f"    --hash=sha256:{pin.hashes[-1]}", f"    # {remark.replace(chr(92), '')}"]
    return "\n".join(lines)


@given(lock_pins, comments)
def test_what_is_written_is_read(found: list[Pin], remark: str) -> None:
    """Every pin comes back with its hashes, whatever the comments say."""
    assert locks.parse_text(written(found, remark), where="x") == {p.name: p for p in found}


@given(lock_pins, st.randoms())
def test_digest_ignores_order_and_comments(found: list[Pin], random: object) -> None:
    """Two locks that install the same files have the same digest."""
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = locks.parse_text(written(found), where="x")
    two = locks.parse_text("# other\n\n" + written(shuffled, "because"), where="y")
    assert locks.pins_digest(one) == locks.pins_digest(two)


@given(lock_pins.filter(bool), st.data())
def test_digest_sees_every_character(found: list[Pin], data: st.DataObject) -> None:
    """One other version or one other hash is another digest."""
    before = locks.pins_digest({p.name: p for p in found})
    pin = data.draw(st.sampled_from(found))
    other = Pin(name=pin.name, version=pin.version + ".1", hashes=pin.hashes)
    if data.draw(st.booleans()):
        swapped = ("1" if pin.hashes[0][0] == "0" else "0") + pin.hashes[0][1:]
        other = Pin(name=pin.name, version=pin.version, hashes=(swapped, *pin.hashes[1:]))
    after = locks.pins_digest({p.name: other if p is pin else p for p in found})
    assert before != after


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    """No content of a lock ends in a traceback."""
    found: dict[str, Pin] = {}
    with contextlib.suppress(LockError):
        found = locks.parse_text(text, where="cpu.lock")
    assert all(pin.hashes for pin in found.values())


@pytest.mark.parametrize(
    "line",
    [
        "six==1.17.0",
        "six>=1.17.0 --hash=sha256:" + "0" * 64,
        "six==1.17.0 --hash=sha256:" + "0" * 63,
        "six==1.17.0 --hash=md5:" + "0" * 32,
        "six==1.17.0 ; python_version < '4' --hash=sha256:" + "0" * 64,
        "six[extra]==1.17.0 --hash=sha256:" + "0" * 64,
        "six==one --hash=sha256:" + "0" * 64,
        "--index-url https://example.org",
        "-r other.txt",
        "six @ https://example.org/six.whl",
        "six==1.17.0 --hash=sha256:" + "0" * 64 + " \\",
    ],
)
def test_anything_but_hashed_pins_is_refused(line: str) -> None:
    """A lock that would install something unchecked, or from elsewhere, is an error with a line."""
    with pytest.raises(LockError) as caught:
        locks.parse_text(f"# fine\n{line}", where="cpu.lock")
    assert caught.value.where == "cpu.lock:2"


def test_a_name_locked_twice_is_refused() -> None:
    """`Six` and `six` are one package."""
    pin = "==1.0 --hash=sha256:" + "0" * 64
    with pytest.raises(LockError, match="twice"):
        locks.parse_text(f"six{pin}\nSix{pin}", where="cpu.lock")


def test_a_lock_is_checked_against_its_inputs(project: Path) -> None:
    """Missing, foreign and stale locks are told apart, each with what to type."""
    stack = load(project).environments["tiny"].stacks["cpu"]
    with pytest.raises(LockError, match="there is no lock"):
        locks.checked(stack, "3.11")
    stack.lock.write_text("six==1.17.0 --hash=sha256:" + "0" * 64)
    with pytest.raises(LockError, match="not written by us"):
        locks.checked(stack, "3.11")
    stack.lock.write_text(locks.header(stack, "3.11") + "six==1 --hash=sha256:" + "0" * 64 + "\n")
    assert list(locks.checked(stack, "3.11")) == ["six"]
    stack.requirements.write_text(stack.requirements.read_text() + "# only a comment\n")
    assert list(locks.checked(stack, "3.11")) == ["six"]
    stack.requirements.write_text("six\n")
    with pytest.raises(LockError, match="stale") as caught:
        locks.checked(stack, "3.11")
    assert caught.value.fix == "nox -s lock"


def test_every_lock_of_the_project_is_fresh() -> None:
    """What is committed under environments/ belongs to its .in files."""
    root = Path(__file__).parents[2]
    for environment in load(root, labs=["multiply"]).environments.values():
        for stack in environment.stacks.values():
            assert locks.checked(stack, environment.python)


def test_no_lock_tells_where_its_packages_came_from() -> None:
    """Addresses and paths are this machine's business; locks hold names, versions and hashes."""
    root = Path(__file__).parents[2]
    for lock in [*root.glob("environments/*/*.lock"), *root.glob("docker/*.lock")]:
        text = lock.read_text()
        assert "://" not in text
        assert not any(word.startswith("/") for word in text.split()), lock
