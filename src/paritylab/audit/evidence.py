"""A finished audit's folder -> what a bundle is made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paritylab import report
from paritylab.audit.bundle import AUDIT, Evidence, stacks
from paritylab.audit.model import Audit, from_json
from paritylab.audit.record import BASELINES, lab_digests
from paritylab.engines.dockerclient import explained, open_client
from paritylab.errors import BundleError
from paritylab.matrix import Selection
from paritylab.model import Cell
from paritylab.plan import Options
from paritylab.plan import cells_of as cells_in


def gather(folder: Path, root: Path) -> Evidence:
    """Return the evidence of the audit in ``folder``, made with the project at ``root``.

    Raises BundleError when there is none, when labs or locks are no longer what was audited (the
    bundle would then tell of other files than those that ran), or on another machine, which a
    cluster's hosts are.
    """
    try:
        audit = from_json((folder / AUDIT).read_bytes())
    except OSError as fault:
        raise BundleError(
            f"there is no finished audit: {fault.strerror}",
            where=str(folder / AUDIT),
            fix=f"paritylab audit --out {folder}",
        ) from None
    cells = cells_of(audit, root)
    _check_unchanged(audit, cells)
    _check_host(audit)
    images = dict(audit.facts.get("images") or {})
    engine = str(audit.facts.get("engine", ""))
    return Evidence(
        root=root,
        audit=audit,
        cells=cells,
        baselines=folder / BASELINES,
        engine=engine,
        images=_completed(images, cells) if engine == "docker" else images,
    )


def _completed(images: Mapping[str, str], cells: list[Cell]) -> dict[str, str]:
    """Add the images that a resumed audit did not start again: the one that holds the same lock."""
    found = dict(images)
    for name, (environment, device) in stacks(cells).items():
        if name in found:
            continue
        labels = {
            "paritylab.environment": environment.name,
            "paritylab.device": device,
            "paritylab.lock": environment.stacks[device].lock_digest,
        }
        wanted = {"label": [f"{key}={value}" for key, value in labels.items()]}
        with explained("a look for the image that was audited"):
            ids = {str(image.id) for image in open_client().images.list(filters=wanted)}
        if len(ids) != 1:
            raise BundleError(
                f"{len(ids)} images hold the lock of {name}, and the audit does not say which ran",
                fix="audit again"
                if ids
                else f"paritylab images build --environment {environment.name}",
            )
        found[name] = ids.pop()
    return found


def cells_of(audit: Audit, root: Path, engine: str | None = None) -> list[Cell]:
    """The cells of an audit, as far as the project still has them and they can run.

    ``engine`` None is the audit's own.
    """
    wanted = {cell.cell for cell in audit.cells}
    chosen = Selection(device=str(audit.facts.get("device", "cpu")))
    engine = engine or str(audit.facts.get("engine", "venv"))
    found = cells_in(Options(selection=chosen, engine=engine, root=root))
    return [cell for cell in found if cell.id in wanted and not cell.unsupported]


def _check_unchanged(audit: Audit, cells: list[Cell]) -> None:
    locks = {c.environment.name: c.environment.stacks[c.device].lock_digest for c in cells}
    for kind, now in (("labs", lab_digests(cells)), ("locks", locks)):
        before: dict[str, Any] = audit.facts.get(kind) or {}
        moved = sorted(name for name in now if before.get(name, now[name]) != now[name])
        if moved:
            raise BundleError(
                f"{kind[:-1]} {moved[0]} has changed since it was audited",
                why="the bundle would tell of other files than those that ran",
                fix="audit again",
            )


def _check_host(audit: Audit) -> None:
    """Refuse to tell of this machine's kernel, engine and installed files in place of another's."""
    why = "the bundle would tell of this machine's kernel, engine and installed files"
    if audit.facts.get("cluster"):
        fix = "paritylab audit --out audit.zip, on one of its hosts (without --cluster)"
        raise BundleError("it was audited on the hosts of a cluster", why=why, fix=fix)
    before: Mapping[str, Any] = audit.facts.get("host") or {}
    now = report.host()
    moved = [name for name in ("cpu", "platform") if before.get(name, now[name]) != now[name]]
    if moved:
        raise BundleError(
            f"it was audited on {before[moved[0]]}, and this is {now[moved[0]]}",
            why=why,
            fix="paritylab bundle, where it was audited",
        )
