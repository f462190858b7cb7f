"""environment.toml: what a device may say of itself, and what is refused."""

import tomllib
from pathlib import Path

import pytest
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st

from paritylab import catalog
from paritylab.environmentfile import StackModel
from paritylab.errors import CatalogError
from paritylab.schema import validate

STACK = {"base": "python@sha256:" + "0" * 64, "tag": "python:3.11"}


def parsed(**more: object) -> StackModel:
    """A device with these keys."""
    return validate({**STACK, **more}, StackModel, shown="environment.toml")


@pytest.mark.parametrize(
    "pattern", ["/etc/passwd", "../lib", "nvidia/../../lib", "nvidia", "", "*", "a/.hidden", "a//b"]
)
def test_what_is_left_out_lies_in_site_packages(pattern: str) -> None:
    """A pattern is handed to `rm -f` as root in a container: no way up, no root, no bare star."""
    with pytest.raises(CatalogError, match=r"environment\.toml: drop"):
        parsed(drop=[pattern])


@given(st.text())
def test_no_pattern_reaches_the_shell(pattern: str) -> None:
    """Nothing passes that the shell or rm would read as more than a path."""
    try:
        parsed(drop=[pattern])
    except CatalogError:
        return
    assert not set(pattern) & set(" \n\t;&|$`'\"()<>\\?[]{}~!#")
    assert not pattern.startswith(("/", "-", "."))
    assert ".." not in pattern.split("/")


@pytest.mark.parametrize("driver", ["new", "525.", "v525", "525-60"])
def test_a_driver_is_a_version(driver: str) -> None:
    """It is compared as numbers."""
    with pytest.raises(CatalogError, match=r"environment\.toml: driver"):
        parsed(driver=driver)


def test_real_environments_say_what_cuda_needs() -> None:
    """tf2 and tf1-compat have a cuda device on the CPU's base; tf1 says in its folder why not."""
    loaded = catalog.load(PROJECT, labs=("multiply",)).environments
    assert {name for name, one in loaded.items() if "cuda" in one.stacks} == {"tf2", "tf1-compat"}
    for name in ("tf2", "tf1-compat"):
        cpu, cuda = (loaded[name].stacks[device] for device in ("cpu", "cuda"))
        assert cuda.base == cpu.base
        assert cuda.driver == "525.60.13"
        assert cuda.variables["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
        assert cuda.profiles["portable"]["NVIDIA_TF32_OVERRIDE"] == "0"
        assert not cuda.profiles["native"]
    assert "no `cuda` device" in (PROJECT / "environments/tf1/README.md").read_text()


@pytest.mark.parametrize("name", ["tf2", "tf1-compat"])
def test_cuda_has_what_labs_require(name: str) -> None:
    """Every package that the CPU's lock pins at the top is in the CUDA lock, at its version."""
    folder = PROJECT / "environments" / name
    stacks = catalog.load(PROJECT, labs=("multiply",)).environments[name].stacks
    written = (folder / "cpu.in").read_text().splitlines()
    pins = [line.partition("==") for line in written if "==" in line and line[0] != "#"]
    for package, _, version in pins:
        if package not in ("torch", "tensorflow-cpu"):
            assert stacks["cuda"].packages[package.replace("_", "-")] == version
    assert "tensorflow-cpu" not in stacks["cuda"].packages


def test_both_environments_hold_a_gpu_still_alike() -> None:
    """The variables of the profile are written twice, and are the same."""
    found = [
        tomllib.loads((PROJECT / "environments" / name / "environment.toml").read_text())
        for name in ("tf2", "tf1-compat")
    ]
    first, second = (one["devices"]["cuda"] for one in found)
    assert first["profiles"] == second["profiles"]
    assert first["variables"] == second["variables"]
    assert Path(PROJECT / "docs/cuda.md").is_file()
