"""A real audit of the fixture project, run in this interpreter, and its bundle."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import FIXTURES
from rich.progress import Progress

from paritylab.audit import archive, bundle, conduct, statement
from paritylab.audit.evidence import gather
from paritylab.audit.plan import Request
from paritylab.plan import Options, cells_of

QUIET = Progress(disable=True)


@contextmanager
def standing_in() -> Iterator[None]:
    """Modules that pass for the frameworks can be imported, as long as it lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FIXTURES / "stand_in")
        patch.setenv("PYTHONPATH", str(FIXTURES / "stand_in"))
        yield


@pytest.fixture(scope="module", autouse=True)
def stand_in() -> Iterator[None]:
    """The same for the tests of a module that imports this: what was audited can be found."""
    with standing_in():
        yield


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project (``project/``) whose lab `double` was audited into ``audit/``."""
    folder = tmp_path_factory.mktemp("audited")
    shutil.copytree(FIXTURES / "valid", folder / "project")
    with standing_in():
        options = Options(engine="here", root=folder / "project")
        request = Request(variations=("repeat", "hash-seed"), pairs=0)
        prepared = conduct.prepare(cells_of(options), options, request, jobs=2)
        conduct.run_audit(prepared, out=folder / "audit", jobs=2)
    return folder


@pytest.fixture(scope="session")
def packed(audited: Path) -> Path:
    """The bundle of that audit, unsigned."""
    path = audited / "audit.zip"
    with standing_in():
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
