import pytest
from packaging.utils import parse_wheel_filename

from paritylab import targets


@pytest.mark.parametrize(
    ("wheel", "python", "fits"),
    [
        ("torch-1.13.1-cp37-cp37m-manylinux1_x86_64.whl", "3.7", True),
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", "3.11", True),
        ("cryptography-50.0.2-cp311-abi3-manylinux_2_28_x86_64.whl", "3.11", True),
        ("absl_py-2.1.0-py3-none-any.whl", "3.7", True),
        ("uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "3.11", True),
        ("torch-1.13.1-cp37-cp37m-manylinux1_x86_64.whl", "3.11", False),
        ("numpy-2.0-cp311-cp311-macosx_11_0_arm64.whl", "3.11", False),
        ("numpy-2.0-cp311-cp311-manylinux_2_34_x86_64.whl", "3.11", False),
    ],
)
def test_wheels_are_chosen_for_the_target_not_the_host(wheel: str, python: str, fits: bool) -> None:
    """The tags are those of the environment's Python on glibc 2.28, whatever runs this test."""
    assert bool(set(targets.tags(python)) & parse_wheel_filename(wheel)[3]) is fits


def test_pip_is_asked_for_the_same_tags() -> None:
    """Every platform and ABI that may be locked can be downloaded."""
    flags = targets.pip_flags("3.7")
    assert {"--python-version=3.7", "--abi=cp37m", "--only-binary=:all:"} <= set(flags)
    assert {f"--platform={name}" for name in targets.platforms()} <= set(flags)
