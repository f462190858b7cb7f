"""checkout: commit and changes, so that results of two states of a project are told apart."""

import shutil
import subprocess
from pathlib import Path

import pytest

from paritylab.checkout import ANNOUNCED, origin, project


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A repository with one lab, committed."""
    if shutil.which("git") is None:
        pytest.skip("no git on this machine")
    (tmp_path / "labs/one").mkdir(parents=True)
    (tmp_path / "labs/one/lab.toml").write_text("title = 'one'\n")
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def git(root: Path, *words: str) -> None:
    """Run git in the repository."""
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    """Commit everything."""
    git(root, "add", "-A")
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    git(root, *who, "commit", "-q", "-m", "all")


def test_a_clean_checkout_tells_its_commit(committed: Path) -> None:
    """Another commit is another origin; what lies beside labs/ and environments/ is no change."""
    first = origin(committed)
    assert len(str(first["commit"])) == 40
    assert (first["dirty"], first["changes"]) == (False, None)
    (committed / "results.json").write_text("{}")
    assert origin(committed) == first
    assert project(committed)["dirty"] is True
    commit(committed)
    assert origin(committed)["commit"] != first["commit"]


def test_every_kind_of_edit_is_another_origin(committed: Path) -> None:
    """Edited, staged, new, renamed and removed files: two dirty checkouts are not taken for one."""
    seen = {origin(committed)["changes"]}
    lab = committed / "labs/one"

    def stage() -> None:
        git(committed, "add", "-A")

    for edit in (
        lambda: (lab / "lab.toml").write_text("title = 'two'\n"),
        lambda: (lab / "extra with a space.py").write_text("1"),
        lambda: (lab / "extra with a space.py").write_text("2"),
        lambda: (lab / "extra with a space.py").rename(lab / "other.py"),
        lambda: (lab / "latin.txt").write_bytes(b"\xe8"),
        stage,
        lambda: (lab / "latin.txt").write_bytes(b"\xe9"),
        (lab / "lab.toml").unlink,
    ):
        edit()
        found = origin(committed)
        assert found["dirty"] is True
        assert found["changes"] not in seen or edit is stage
        assert found == origin(committed)
        seen.add(found["changes"])
    staged = origin(committed)["changes"]
    git(committed, "add", "-A")
    assert origin(committed)["dirty"] is True
    git(committed, "reset", "-q", "--hard")
    assert origin(committed)["dirty"] is False
    assert staged is not None


def test_without_git_the_ci_system_tells_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job without .git still knows what it runs; without either nobody does, and it is said."""
    for name in ANNOUNCED:
        monkeypatch.delenv(name, raising=False)
    assert origin(tmp_path) == {"commit": None, "dirty": None, "changes": None}
    monkeypatch.setenv("CI_COMMIT_SHA", "c" * 40)
    assert origin(tmp_path) == {"commit": "c" * 40, "dirty": None, "changes": None}
