"""catalog: valid folders become frozen objects, broken ones a message that names file and key."""

import shutil
from pathlib import Path

import pytest
from conftest import FIXTURES, PROJECT

from paritylab import catalog
from paritylab.errors import LabError, UsageError
from paritylab.expected import read_expected
from paritylab.hardware import is_kind

# fixture -> what its message must contain: the place, and the hint
BROKEN = {
    "lab-not-toml": ["labs/double/lab.toml", "not valid TOML"],
    "lab-unknown-key": ["labs/double/lab.toml: ", "giude", "`guide`"],
    "lab-unknown-output-key": ["labs/double/lab.toml: outputs.doubled.rtoll", "`rtol`"],
    "lab-tolerance-without-reason": ["outputs.doubled", "needs its reason"],
    "lab-negative-tolerance": ["outputs.doubled.rtol", "greater than or equal to 0"],
    "lab-unknown-dtype": ["outputs.doubled.dtype", "float31"],
    "lab-unknown-cpu-bits": ["implementations.tf1.cpu_bits", "'family' or 'model'", "vendor"],
    "lab-unknown-implementation": ["implementations.tf3", "'tf1'"],
    "lab-missing-implementation": ["implementations.tf1", "tf1.py is missing", "unsupported"],
    "lab-bad-requirement": ["implementations.tf2.requires", "tensorflow >>= 2"],
    "lab-no-time": ["limits.seconds", "greater than 0"],
    "lab-missing-stage": ["labs/double/pytorch.py", "`save` is missing"],
    "lab-syntax-error": ["labs/double/tf2.py:1", "not valid Python"],
    "lab-empty-readme": ["labs/double/README.md", "lesson"],
    "lab-missing-oracle": ["labs/double/scenario.py", "`oracle` is missing", "`orakle`"],
    "lab-not-utf8": ["labs/double/lab.toml", "UTF-8"],
    "lab-readme-not-utf8": ["labs/double/README.md", "UTF-8"],
    "lab-grading-unknown-key": ["labs/double/lab.toml: grading.sedes", "`seeds`"],
    "lab-grading-unknown-environment": ["grading.environment", "`tony`", "`tiny`"],
    "lab-grading-unsupported": ["grading.implementations", "tf1 is declared unsupported"],
    "lab-grading-no-seeds": ["grading.seeds", "greater than or equal to 1"],
    "lab-grading-without-points": ["labs/double/lab.toml: outputs", "no output has points"],
    "lab-grading-construct-of-another": ["grading: constructs.tf2", "not among"],
    "lab-grading-construct-no-name": ["grading.constructs.pytorch.forbid.0", "a dotted name"],
    "lab-grading-points-for-nothing": ["grading.constructs.pytorch", "come together"],
    "lab-grading-both-ways": ["grading.constructs.pytorch", "required and forbidden"],
    "lab-partial-without-steps": ["outputs.doubled", "needs `steps = true`"],
    "lab-points-for-measured": ["outputs.rounds", "takes no points"],
    "lab-points-negative": ["outputs.doubled.points", "greater than or equal to 0"],
    "environment-unknown-key": ["environments/tiny/environment.toml: ", "titel", "`title`"],
    "environment-base-without-digest": ["devices.cpu.base", "python:latest"],
    "environment-silent-about-tf1": ["implementations.tf1", "required key is missing"],
    "environment-preload-and-unsupported": ["implementations.tf2", "either `preload`"],
    "environment-unknown-device": ["devices.tpu", "'cuda'"],
    "environment-number-as-variable": ["profiles.portable.OMP_NUM_THREADS", "string"],
    "environment-unknown-profile": ["profiles.nativ", "`native`"],
    "environment-foreign-lock": ["environments/tiny/cpu.lock:1", "nox -s lock"],
}


def test_every_broken_fixture_is_tested() -> None:
    """A fixture folder nobody asserts on would be a check that cannot fail."""
    assert {folder.name for folder in (FIXTURES / "broken").iterdir()} == set(BROKEN)


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_broken_folder_is_refused_with_file_and_key(project: Path, fault: str) -> None:
    """Each named fault is told with its place; none is a traceback or passes unseen."""
    catalog.load(project)
    shutil.copytree(FIXTURES / "broken" / fault, project, dirs_exist_ok=True)
    with pytest.raises(LabError) as caught:
        catalog.load(project)
    for part in BROKEN[fault]:
        assert part in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_faults_are_told_at_once(project: Path) -> None:
    """Two broken files give two messages, so that nobody mends them one run at a time."""
    for fault in ("lab-unknown-key", "environment-unknown-key"):
        shutil.copytree(FIXTURES / "broken" / fault, project, dirs_exist_ok=True)
    with pytest.raises(LabError, match="2 faults") as caught:
        catalog.load(project)
    assert "guide" in str(caught.value)
    assert "title" in str(caught.value)


def test_a_new_folder_is_picked_up_and_a_broken_neighbour_does_not_stop_others(
    project: Path,
) -> None:
    """Adding a lab touches one folder; a broken one stops only the runs that want it."""
    shutil.copytree(project / "labs/double", project / "labs/twice")
    assert set(catalog.load(project).labs) == {"double", "twice"}
    (project / "labs/twice/lab.toml").write_text("nonsense")
    assert set(catalog.load(project, labs=["double"]).labs) == {"double"}
    with pytest.raises(LabError, match="twice"):
        catalog.load(project)


def test_unknown_name_suggests_the_nearest(project: Path) -> None:
    """A typo on the command line is answered with the right name."""
    with pytest.raises(UsageError, match="did you mean `double`"):
        catalog.load(project, labs=["duoble"])
    with pytest.raises(UsageError, match="did you mean `tiny`"):
        catalog.load(project, environments=["tinny"])


def test_data_that_changed_is_refused(project: Path) -> None:
    """A data file whose SHA-256 is not the stated one cannot be used by any lab."""
    data = project / "labs/_data"
    shutil.copytree(PROJECT / "labs/_data", data)
    catalog.load(project)
    csv = data / "diabetes.csv"
    csv.write_bytes(csv.read_bytes() + b"\n")
    with pytest.raises(LabError, match=r"diabetes.toml: sha256: diabetes.csv has SHA-256"):
        catalog.load(project)


def test_root_is_found_upwards_and_its_absence_explained(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands work from any folder of the checkout, and say what a project is elsewhere."""
    monkeypatch.delenv("PARITYLAB_ROOT", raising=False)
    assert catalog.find_root(project / "labs/double") == project.resolve()
    with pytest.raises(UsageError, match="no project at or above"):
        catalog.find_root(tmp_path)


def test_the_real_project_is_valid() -> None:
    """The labs and environments that we ship load without a fault."""
    loaded = catalog.load(PROJECT)
    assert {"multiply", "train", "evaluate"} <= set(loaded.labs)
    assert {"tf1", "tf1-compat", "tf2"} <= set(loaded.environments)


def test_every_recorded_digest_can_be_met() -> None:
    """Its lock is committed, and its kind of CPU is one that its lab.toml asks for."""
    loaded = catalog.load(PROJECT)
    locks = {
        (name, device): stack.lock_digest
        for name, environment in loaded.environments.items()
        for device, stack in environment.stacks.items()
    }
    for lab in loaded.labs.values():
        recorded = read_expected(lab).digests
        assert recorded
        for entry in recorded:
            assert entry.lock == locks[entry.environment, entry.device], (lab.slug, entry)
            bits = lab.implementations[entry.implementation].cpu_bits
            assert entry.device == "cuda" or is_kind(entry.hardware, bits), (lab.slug, entry)
