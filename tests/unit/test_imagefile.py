import io
import tarfile
from pathlib import Path

import pytest
from conftest import PROJECT

from paritylab.imagefacts import KIND, VENV
from paritylab.imagefile import BLOCK, ImageConfig, tar_stream


def config(**changes: object) -> ImageConfig:
    """A small configuration, with changes."""
    plain = {"layers": ["sha256:" + "1" * 64], "history": ["one"], "runtime": {"Cmd": ["python"]}}
    return ImageConfig(**{**plain, **changes})


def test_the_id_follows_the_content_and_nothing_else() -> None:
    """No date, no host: the same layers and defaults are the same image everywhere."""
    assert config().image_id == config().image_id
    others = [
        config(layers=["sha256:" + "2" * 64]),
        config(history=["two"]),
        config(runtime={"Cmd": ["sh"]}),
    ]
    assert len({config().image_id, *(other.image_id for other in others)}) == 4


def test_a_stream_is_a_tar_of_any_size(tmp_path: Path) -> None:
    """Empty, odd and larger than a block: what was sent is what comes out, in small pieces."""
    big = tmp_path / "big"
    big.write_bytes(b"x" * (2 * BLOCK + 3))
    members = [("empty", b""), ("wheels/" + "n" * 150, b"odd"), ("big", big)]
    blocks = list(tar_stream(members))
    assert max(map(len, blocks)) <= BLOCK
    with tarfile.open(fileobj=io.BytesIO(b"".join(blocks))) as archive:
        found = [(member.name, archive.extractfile(member).read()) for member in archive]
    assert found == [*members[:2], ("big", big.read_bytes())]


@pytest.mark.parametrize("fact", [KIND, VENV])
def test_what_our_images_are_known_by_is_written_once(fact: str) -> None:
    """Whoever moves it changes one line: a second copy would go on looking at the old place."""
    files = (PROJECT / "src/paritylab").rglob("*.py")
    assert [file.name for file in files if fact in file.read_text("utf-8")] == ["imagefacts.py"]
