"""Cells without files: matrices of any size for tests of splits and merges."""

from dataclasses import replace
from pathlib import Path

from paritylab.model import IMPLEMENTATIONS, Cell, CellResult, Lab, Limits, Verdict
from paritylab.stacks import CpuBits, Environment, Stack, Support


def environment(name: str) -> Environment:
    """An environment with a lock of its own; nothing of it is on disk."""
    stack = Stack(
        device="cpu",
        folder=Path("environments") / name,
        base=f"python@sha256:{'a' * 64}",
        tag="python:3.11",
        index=None,
        overrides=(),
        variables={},
        profiles={},
        drop=(),
        packages={},
        lock_digest=f"lock-of-{name}",
    )
    support = {
        one: Support(implementation=one, preload=(), variables={}, unsupported=None)
        for one in IMPLEMENTATIONS
    }
    return Environment(
        name=name,
        folder=Path("/nowhere/environments") / name,
        title=name,
        python="3.11",
        stacks={"cpu": stack},
        profiles={"portable": {}, "native": {}},
        support=support,
    )


def lab(slug: str) -> Lab:
    """A lab with nothing in it."""
    return Lab(
        slug=slug,
        folder=Path("/nowhere/labs") / slug,
        title=slug,
        guide="",
        seed=0,
        stages=("run",),
        outputs={},
        implementations={},
        limits=Limits(),
        claims=(),
        rubric=None,
    )


def with_cpu_bits(cell: Cell, bits: CpuBits | None) -> Cell:
    """The same cell of a lab that says so much of its implementation."""
    ours = replace(cell.lab.implementations[cell.implementation], cpu_bits=bits)
    implementations = {**cell.lab.implementations, cell.implementation: ours}
    return replace(cell, lab=replace(cell.lab, implementations=implementations))


def cell(slug: str, implementation: str, where: str, unsupported: str | None = None) -> Cell:
    """A cell of a lab and an environment of those names."""
    return Cell(
        lab=lab(slug),
        implementation=implementation,
        environment=environment(where),
        device="cpu",
        unsupported=unsupported,
    )


def result(of: Cell, seconds: float = 0.5, verdict: Verdict | None = None) -> CellResult:
    """What a run of the cell may have told; green unless another verdict is given."""
    usual = Verdict.UNSUPPORTED if of.unsupported else Verdict.CLOSE
    return CellResult(
        cell=of.id,
        lab=of.lab.slug,
        implementation=of.implementation,
        environment=of.environment.name,
        device=of.device,
        profile="portable",
        verdict=verdict or usual,
        message=of.unsupported or "",
        seconds=seconds,
    )
