"""What lies between a program and a GPU: what was looked for, and how to get it."""

from pathlib import Path

import pytest
from cards import answer, card

from paritylab import nvidia
from paritylab.errors import NoGpuError

SMI = '#!/bin/sh\necho "$@" >>{log}\ncat {answer}\n'


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without anything of NVIDIA's; tests put pieces there."""
    monkeypatch.setattr(nvidia, "DEVICES", (tmp_path / "nvidiactl", tmp_path / "dxg"))
    monkeypatch.setattr(nvidia, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(nvidia, "CDI", (tmp_path / "cdi",))
    monkeypatch.setattr(nvidia, "OTHER_PLACES", str(tmp_path / "wsl"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()
    return tmp_path


def add_smi(machine: Path, text: str) -> None:
    """Put a program nvidia-smi there that prints ``text``."""
    (machine / "answer").write_text(text)
    program = machine / "bin/nvidia-smi"
    program.write_text(SMI.format(log=machine / "log", answer=machine / "answer"))
    program.chmod(0o755)


def test_nothing_there_is_told_with_every_remedy(machine: Path) -> None:
    """Card, driver, toolkit, runtime: each is named as missing, with its command."""
    pieces = [*nvidia.local_pieces(), *nvidia.engine_pieces({"Runtimes": {}}, local=True)]
    assert not any(piece.there for piece in pieces)
    told = str(nvidia.refusal(pieces, where="here"))
    for piece in pieces:
        assert f"missing: {piece.name}" in told
        assert f"{piece.short}: {piece.fix}" in told
    assert {piece.short for piece in pieces} == {"card", "driver", "toolkit", "runtime"}
    assert "--smoke" in told
    assert nvidia.refusal(pieces, where="here").exit_code == 3


def test_what_is_there_needs_no_remedy(machine: Path) -> None:
    """Only the gaps are to be filled."""
    (machine / "nvidiactl").touch()
    (machine / "version").touch()
    (machine / "bin/nvidia-ctk").touch(mode=0o755)
    pieces = [*nvidia.local_pieces(), *nvidia.engine_pieces({"Runtimes": {}}, local=True)]
    assert [piece.short for piece in pieces if not piece.there] == ["runtime"]
    told = str(nvidia.refusal(pieces, where="here", why="could not select device driver"))
    assert "could not select device driver" in told
    assert "found: the driver" in told
    assert "ubuntu-drivers" not in told
    assert "nvidia-ctk runtime configure" in told


@pytest.mark.parametrize(
    "info",
    [
        {"Runtimes": {"runc": {}, "nvidia": {}}},
        {"Runtimes": None, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]},
    ],
)
def test_an_engine_tells_its_gpus_in_two_ways(machine: Path, info: dict) -> None:
    """The runtime of old, or CDI; of a remote engine nothing else can be seen."""
    [piece] = nvidia.engine_pieces(info, local=False)
    assert piece.there


def test_cdi_files_count_on_a_local_engine(machine: Path) -> None:
    """Engines before 28 do not list CDI devices; the specification is a file."""
    (machine / "cdi").mkdir()
    (machine / "cdi/nvidia.yaml").touch()
    found = nvidia.engine_pieces({"Runtimes": {}}, local=True)
    assert {piece.short for piece in found if piece.there} == {"runtime"}
    assert not any(piece.there for piece in nvidia.engine_pieces({}, local=False))


def test_gpus_here_are_nvidia_smi_s(machine: Path) -> None:
    """With a device file, nvidia-smi has the word."""
    (machine / "nvidiactl").touch()
    add_smi(machine, answer(card(0), card(1)))
    assert nvidia.gpus_here().gpus == (card(0), card(1))
    assert "--query-gpu=index,uuid" in (machine / "log").read_text()


def test_a_driver_that_does_not_answer_is_quoted(machine: Path) -> None:
    """Its own words are the reason."""
    (machine / "nvidiactl").touch()
    add_smi(machine, "NVIDIA-SMI has failed because it couldn't communicate with the driver.\n")
    with pytest.raises(NoGpuError, match="no GPU can be used") as told:
        nvidia.gpus_here()
    assert "couldn't communicate" in str(told.value)


def test_a_driver_without_its_program_is_told(machine: Path) -> None:
    """A container that was given the device but not the tools."""
    (machine / "nvidiactl").touch()
    with pytest.raises(NoGpuError) as told:
        nvidia.gpus_here()
    assert "nvidia-smi is not on the PATH" in str(told.value)


def test_wsl_has_a_device_and_no_driver_file(machine: Path) -> None:
    """Windows holds the driver; its program is not on the PATH."""
    (machine / "dxg").touch()
    (machine / "wsl").mkdir()
    add_smi(machine, answer(card(0)))
    (machine / "bin/nvidia-smi").rename(machine / "wsl/nvidia-smi")
    assert all(piece.there for piece in nvidia.local_pieces())
    assert nvidia.gpus_here().gpus == (card(0),)
