"""The list of all checks, in the order of their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from paritylab.doctor import engines, leftovers, machine, network
from paritylab.doctor.model import Line, Scope
from paritylab.errors import LabError

Check = Callable[[Scope], Iterable[Line]]

CHECKS: tuple[Check, ...] = (
    machine.project,
    machine.processor,
    machine.cores,
    machine.memory,
    machine.clock,
    machine.pythons,
    machine.uv,
    machine.pip,
    machine.compiler,
    machine.cache_disk,
    network.package_index,
    engines.docker,
    engines.docker_disk,
    engines.images,
    network.registry,
    engines.bootstrap,
    engines.gpu,
    leftovers.lines,
)


def examine(scope: Scope) -> list[Line]:
    """Ask every check and return its lines, in order; one that cannot answer says why."""
    # Most of the time goes by in waiting for others: an index, a registry, an engine.
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        found = list(pool.map(lambda check: _asked(check, scope), CHECKS))
    return [line for lines in found for line in lines]


def _asked(check: Check, scope: Scope) -> list[Line]:
    try:
        return list(check(scope))
    except LabError as fault:
        name = check.__name__.replace("_", " ")
        return [Line(name=name, ok=False, found=fault.what, fix=fault.fix or "")]
    except Exception as fault:  # a check that fails must not take the others with it
        name = check.__name__.replace("_", " ")
        found = f"cannot be looked at: {type(fault).__name__}: {fault}"
        return [Line(name=name, ok=False, found=found, needed=False)]
