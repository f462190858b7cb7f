"""Grading by way of a cluster: what its hosts are told of the sandboxes."""

from __future__ import annotations

from dataclasses import asdict

from paritylab.cluster import messages
from paritylab.cluster.opening import Wanted
from paritylab.grade.plan import Plan
from paritylab.grade.request import Request


def wanted_for(plan: Plan, request: Request) -> Wanted:
    """What a cluster is to have for a grading run."""
    environment = plan.environment
    return Wanted(
        stacks={(environment.name, "cpu"): environment},
        root=environment.folder.parents[1],
        engine=request.engine,
        base=request.base,
        use="grade",
        grading={
            "isolation": str(request.isolation),
            "runtime": request.runtime,
            "limits": asdict(plan.lab.limits),
            "keys": [messages.key_facts(key) for key in plan.worker_keys()],
        },
    )
