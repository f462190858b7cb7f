"""A real audit of the fixture project, run in this interpreter, and its bundle."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import FIXTURES
from rich.progress import Progress

from paritylab.audit import archive, bundle, conduct, statement
from paritylab.audit.evidence import gather
from paritylab.audit.plan import Request
from paritylab.plan import Options, cells_of

QUIET = Progress(disable=True)


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project (``project/``) whose lab `double` was audited into ``audit/``."""
    folder = tmp_path_factory.mktemp("audited")
    shutil.copytree(FIXTURES / "valid", folder / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FIXTURES / "stand_in")
        patch.setenv("PYTHONPATH", str(FIXTURES / "stand_in"))
        options = Options(engine="here", root=folder / "project")
        request = Request(variations=("repeat", "hash-seed"), pairs=0)
        prepared = conduct.prepare(cells_of(options), options, request, jobs=2)
        conduct.run_audit(prepared, out=folder / "audit", jobs=2)
        yield folder


@pytest.fixture(scope="session")
def packed(audited: Path) -> Path:
    """The bundle of that audit, unsigned."""
    path = audited / "audit.zip"
    evidence = gather(audited / "audit", audited / "project")
    bundle.write(path, evidence, key=None, progress=QUIET)
    return path


def rewritten(
    path: Path, target: Path, change: Callable[[dict[str, bytes]], None], *, restate: bool
) -> Path:
    """A copy of a bundle with its members changed; ``restate`` writes a statement that fits."""
    members = archive.unpack(path)
    change(members)
    if restate:
        old = statement.documents.load(members[statement.FILE], where="")
        old["subject"] = [
            {"name": name, "digest": {"sha256": statement.sha256(content)}}
            for name, content in sorted(members.items())
            if name not in statement.OUTSIDE
        ]
        members[statement.FILE] = statement.documents.dump(old)
    target.write_bytes(archive.pack(members))
    return target
