"""imageparts, images: a lock's large packages below, everything once, and prune keeps both."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import PROJECT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paritylab import catalog, imageparts, images
from paritylab.imageparts import parts
from paritylab.images import ImageRow, superfluous
from paritylab.locks import Pin

SIZES = st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.integers(0, 20))


@given(SIZES, st.integers(1, 20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_pin_and_wheel_is_in_one_part(
    tmp_path_factory: pytest.TempPathFactory, sizes: dict[str, int], large: int
) -> None:
    """The two locks together are the lock; the size of the wheel decides, and nothing else."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, size in sizes.items():
        (folder / f"{name}-1.0-py3-none-any.whl").write_bytes(b"x" * size)
    pins = {name: Pin(name=name, version="1.0", hashes=("0" * 64,)) for name in sorted(sizes)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(imageparts, "LARGE", large)
        below, above = parts(pins, folder.glob("*.whl"))
    assert set(below.pins) == {name for name, size in sizes.items() if size >= large}
    assert {**below.pins, **above.pins} == pins
    assert not set(below.pins) & set(above.pins)
    for part in (below, above):
        assert [wheel.name.split("-")[0] for wheel in part.wheels] == sorted(part.pins)


def test_a_wheels_name_may_be_written_otherwise_than_its_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tf_keras` in a file name is `tf-keras` in the lock."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "Tf_Keras.Extra-1.0-py3-none-any.whl").write_bytes(b"x")
    pin = Pin(name="tf-keras-extra", version="1.0", hashes=("0" * 64,))
    _, above = parts({pin.name: pin}, tmp_path.glob("*.whl"))
    files = above.files({"install.sh": tmp_path})
    assert set(files) == {"install.sh", "lock", "wheels/Tf_Keras.Extra-1.0-py3-none-any.whl"}
    assert files["lock"].read_text() == f"{pin.requirement}\n"


def row(tag: str, foundation: str = "") -> ImageRow:
    """One of our images."""
    kind = "image" if foundation else "foundation"
    return ImageRow(
        tag=tag, image_id=f"sha256:{tag}", kind=kind, size=1, layers=(), foundation=foundation
    )


def test_what_is_kept_keeps_what_it_was_built_on() -> None:
    """Otherwise the next changed line would cost a whole build."""
    rows = [
        row("paritylab/tf2:new", "paritylab/foundation:a"),
        row("paritylab/tf2:old", "paritylab/foundation:b"),
        row("paritylab/foundation:a"),
        row("paritylab/foundation:b"),
    ]
    old = ["paritylab/tf2:old", "paritylab/foundation:b"]
    assert superfluous(rows, ["paritylab/tf2:new"]) == old
    assert superfluous(rows, ["sha256:paritylab/tf2:new"]) == old
    assert superfluous(rows, ["paritylab/tf2:new"], "paritylab/tf2:") == old[:1]
    assert len(superfluous(rows, [])) == 4


def test_what_one_build_reads_is_not_written_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of what is left out is replaced as a whole: whoever opened it reads on in his."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path))
    loaded = catalog.load(PROJECT, labs=["multiply"], environments=["tf2"])
    stack = replace(loaded.environments["tf2"].stacks["cpu"], drop=("*.h", "*/tests/*"))
    path = images._drop_list(stack)
    told = path.read_text()
    assert told.split() == ["*.h", "*/tests/*"]
    with path.open() as opened:
        path.write_text("")
        images._drop_list(stack)
        assert (path.read_text(), opened.read()) == (told, "")
