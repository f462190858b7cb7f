"""hardware: digests whose bits depend on the CPU are recorded per class of CPU."""

from pathlib import Path

import pytest
from synthetic import with_cpu_bits

from paritylab import catalog, hardware, judge
from paritylab.matrix import Selection, cells
from paritylab.stacks import CpuBits

INTEL = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Xeon\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one known CPU: 48K of data cache, 2048K behind it."""
    (tmp_path / "cpuinfo").write_text(f"{INTEL}\n{INTEL.replace('143', '999')}\n")
    for number, kind, size in ((0, "Data", "48K"), (1, "Instruction", "32K"), (2, "Unified", "2M")):
        folder = tmp_path / f"cache/index{number}"
        folder.mkdir(parents=True)
        (folder / "type").write_text(f"{kind}\n")
        (folder / "size").write_text(f"{size}\n")
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(hardware, "CACHES", tmp_path / "cache")
    hardware.cpu_class.cache_clear()
    yield tmp_path
    hardware.cpu_class.cache_clear()


def test_class_is_vendor_family_model_and_data_caches(machine: Path) -> None:
    """Cache sizes are part of it: they choose the blocks of a matrix product."""
    assert hardware.cpu_class() == "GenuineIntel-6-143 48K/2M"
    assert hardware.cpu_model() == "Xeon"


@pytest.mark.parametrize(
    ("bits", "key"),
    [
        (None, None),
        (CpuBits.FAMILY, "GenuineIntel-6"),
        (CpuBits.MODEL, "GenuineIntel-6-143 48K/2M"),
    ],
)
def test_only_what_says_so_is_keyed_by_as_much_of_the_cpu_as_it_says(
    machine: Path, project: Path, bits: CpuBits | None, key: str | None
) -> None:
    """Everywhere else one digest serves every CPU; here another CPU gives `close`, no alarm."""
    cell = cells(catalog.load(project), Selection())[0]
    cell = with_cpu_bits(cell, bits)
    assert judge.digest_key(cell, "portable")["hardware"] == key


def test_a_host_of_a_cluster_is_asked_for_its_own_family(machine: Path, project: Path) -> None:
    """Where it ran, not where the verdict is given."""
    cell = with_cpu_bits(cells(catalog.load(project), Selection())[0], CpuBits.FAMILY)
    key = judge.digest_key(cell, "portable", cpu="AuthenticAMD-25-17 32K/1024K/32768K")
    assert key["hardware"] == "AuthenticAMD-25"
