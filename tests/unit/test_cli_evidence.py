"""bundle, verify and diff on the command line: exit codes, words, files."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bundles import audited, packed, rewritten, stand_in
from cryptography.hazmat.primitives.asymmetric import ed25519
from test_audit_bundle import pem
from test_cli import Done, paritylab

from paritylab.audit import archive
from paritylab.audit.model import from_json, to_json

__all__ = ["audited", "packed", "paritylab", "stand_in"]
Run = Callable[..., Done]


def test_pack_sign_verify(paritylab: Run, audited: Path, tmp_path: Path) -> None:
    """The way of a bundle from its maker to its reader."""
    private, public = pem(ed25519.Ed25519PrivateKey.generate(), tmp_path, "mine")
    path = tmp_path / "audit.zip"
    done = paritylab(
        "bundle", str(audited / "audit"), "--out", str(path), "--key", str(private),
        root=audited / "project",
    )  # fmt: skip
    assert done.returncode == 0
    assert "sha256:" in done.stdout
    seen = paritylab("verify", str(path), "--key", str(public))
    assert seen.returncode == 0
    assert "verified: " in seen.stdout
    assert "signature good" in seen.stdout
    assert "NOT CHECKED" in paritylab("verify", str(path)).stdout


def test_a_damaged_bundle_is_refused_by_name(paritylab: Run, packed: Path, tmp_path: Path) -> None:
    """Exit 2, the file that was changed, and what to do; both commands."""

    def change(members: dict[str, bytes]) -> None:
        members["labs/double/tf2.py"] += b"#"

    path = rewritten(packed, tmp_path / "a.zip", change, restate=False)
    for arguments in (["verify", str(path)], ["diff", str(packed), str(path)]):
        done = paritylab(*arguments)
        assert done.returncode == 2
        assert "labs/double/tf2.py: SHA-256" in done.stderr
        assert "fix: " in done.stderr
    assert str(path) in paritylab("diff", str(packed), str(path)).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", "nothing.zip"], "No such file"),
        (["verify", "."], "a bundle is a file"),
        (["verify", "{packed}", "--json", "x.json"], "--json and --html belong to --rerun"),
        (["verify", "{packed}", "--key", "nothing.pem"], "the key cannot be read"),
        (["verify", "{packed}", "--rerun", "--engine", "dockr"], "did you mean `docker`?"),
        (["audit", "--out", "{packed}/x.zip"], "fix: name another file"),
        (["bundle", "nothing"], "paritylab audit --out nothing"),
        (["diff", "{packed}", "nothing.zip"], "nothing.zip"),
    ],
)
def test_wrong_arguments_are_told(
    paritylab: Run, packed: Path, arguments: list[str], said: str
) -> None:
    """Exit 2 and a sentence, never a traceback."""
    done = paritylab(*(one.format(packed=packed) for one in arguments))
    assert done.returncode == 2
    assert said in done.stderr


def test_run_again_and_compare(paritylab: Run, audited: Path, packed: Path, tmp_path: Path) -> None:
    """Exit 0 where the bits are the recorded ones, 1 where they are not, with files to keep."""
    root = audited / "project"
    done = paritylab("verify", str(packed), "--rerun", root=root)
    assert done.returncode == 0
    assert "every recorded cell has the recorded bits here" in done.stdout
    other = tmp_path / "other"
    shutil.copytree(root, other)
    program = other / "labs/double/pytorch.py"
    program.write_text(program.read_text().replace("+ inputs", "* 1.0000001 + inputs"))
    page, plain = tmp_path / "again.html", tmp_path / "again.json"
    done = paritylab(
        "verify", str(packed), "--rerun", "--html", str(page), "--json", str(plain), root=other
    )
    assert done.returncode == 1
    assert "not every cell has the recorded bits here" in done.stdout
    assert "program labs/double/pytorch.py" in page.read_text()
    assert json.loads(plain.read_bytes())["cells"][0]["state"] == "moved"


def test_a_comparison_without_a_move_is_green(paritylab: Run, packed: Path, tmp_path: Path) -> None:
    """Exit 0; equal cells are shown on demand."""
    done = paritylab("diff", str(packed), str(packed), "--all", "--json", str(tmp_path / "d.json"))
    assert done.returncode == 0
    assert "double-pytorch@here-cpu" in done.stdout
    assert "double-pytorch" not in paritylab("diff", str(packed), str(packed)).stdout
    assert json.loads((tmp_path / "d.json").read_bytes())["schema_version"] == 1


def test_a_partial_audit_says_so_everywhere(paritylab: Run, audited: Path, tmp_path: Path) -> None:
    """Packing, the report inside, the crate and the check all tell that it is partial."""
    folder, path = tmp_path / "audit", tmp_path / "audit.zip"
    shutil.copytree(audited / "audit", folder)
    document = from_json((folder / "audit.json").read_bytes())
    partial = replace(document, partial="interrupted: 3 of 9 runs are missing")
    (folder / "audit.json").write_bytes(to_json(partial))
    root = audited / "project"
    done = paritylab("bundle", str(folder), "--out", str(path), root=root)
    assert done.returncode == 0
    assert "PARTIAL: interrupted" in done.stderr
    assert "PARTIAL: interrupted" in paritylab("verify", str(path)).stdout
    members = archive.unpack(path)
    assert b"Partial:" in members["report.html"]
    assert b"PARTIAL: interrupted" in members["ro-crate-metadata.json"]


def test_missing_libraries_are_told_with_the_command_that_gets_them(packed: Path) -> None:
    """The libraries of the formats are an extra; without them there is a sentence, exit 2."""
    code = (
        "import sys; sys.modules['rocrate'] = None\n"
        f"sys.argv = ['paritylab', 'verify', {str(packed)!r}]\n"
        "from paritylab.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "paritylab[audit]"' in done.stderr
