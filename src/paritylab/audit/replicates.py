"""What is found out without the plan's runs: seeded replicates, and versions held together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from paritylab.audit.conditions import BASELINE
from paritylab.audit.model import Equivalence, Observation, Outcome
from paritylab.audit.observe import by_nature, distances, first_difference
from paritylab.audit.record import Record
from paritylab.audit.run import Workshop
from paritylab.audit.tasks import Ran, Task, timed
from paritylab.audit.variations import Variation
from paritylab.compare import contract_fault
from paritylab.digest import canonical
from paritylab.model import Cell, Comparison, Verdict


def equivalences(
    cells: Sequence[Cell],
    record: Record,
    workshop: Workshop,
    *,
    count: int,
    tell: Callable[[str], None],
) -> None:
    """Test the outputs that scatter by nature, over ``count`` replicates; ``record`` keeps it.

    A replicate is a run with the same inputs and another seed for the frameworks.
    """
    todo = [c for c in cells if record.equivalences(c.id) is None and _scatters(c, record)]
    tasks = [
        Task(condition=BASELINE, cell=cell, repeat=number, phase="replicate", seed=1000 + number)
        for cell in todo
        for number in range(count)
    ]
    answers: dict[str, list[Ran]] = {cell.id: [] for cell in todo}

    def done(ran: Ran) -> None:
        answers[ran.task.cell.id].append(ran)
        tell(f"{ran.task.cell.id}, replicate {ran.task.repeat}")

    workshop.run(tasks, timed(done))
    for cell in todo:
        expected = workshop.problem(cell).expected[cell.implementation]
        tests = [
            _tested(cell, name, answers[cell.id], np.asarray(expected[name]))
            for name in by_nature(cell)
            if cell.lab.outputs[name].compare is Comparison.CLOSE
        ]
        record.take_equivalences(cell.id, tuple(tests))


def _scatters(cell: Cell, record: Record) -> bool:
    """Whether outputs without bits of their own moved although nothing was varied."""
    names = set(by_nature(cell))
    alike = (one for one in record.of(cell.id) if one.variations in ((), ("repeat",)))
    return bool(names) and any(names & set(one.max_ulp) for one in alike)


def _tested(cell: Cell, name: str, answers: Sequence[Ran], expected: np.ndarray) -> Equivalence:
    spec = cell.lab.outputs[name]
    values = [
        canonical(ran.answer.values[name])
        for ran in answers
        if ran.answer and ran.answer.status == "ok" and name in ran.answer.values
    ]
    sound = [
        np.asarray(value, dtype=np.float64).ravel()
        for value in values
        if not isinstance(value, str) and contract_fault(name, value, spec) is None
    ]
    target = expected.astype(np.float64).ravel()
    margin = spec.atol + spec.rtol * np.abs(target)
    if len(sound) < len(answers) or len(sound) < 3:
        return Equivalence(
            output=name, replicates=len(sound), margin=float(margin.max(initial=0.0)),
            p_value=1.0, confidence=0.95, power=0.0, equivalent=False,
        )  # fmt: skip
    from paritylab.audit.equivalence import tost  # noqa: PLC0415 - a second, for the few that need it

    return tost(name, np.stack(sound), target, margin)


def across_environments(
    cells: Sequence[Cell], record: Record, compared: Sequence[Variation]
) -> tuple[Observation, ...]:
    """Hold each baseline against that of the same lab and program in the first environment."""
    if not compared:
        return ()
    found: list[Observation] = []
    firsts: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        values, one = record.baseline(cell.id), _first_run(record, cell)
        if values is None or one is None:
            continue
        first = firsts.setdefault((cell.lab.slug, cell.implementation), cell)
        before = record.baseline(first.id)
        if first is cell or before is None:
            continue
        moved = first_difference(cell, before, values)
        outcome = one.outcome
        if outcome is Outcome.IDENTICAL and moved:
            outcome = Outcome.CLOSE
        found.append(
            replace(
                one,
                variations=(compared[0].name,),
                outcome=outcome,
                message=f"against {first.id}",
                first=moved,
                **distances(cell, before, values),
            )
        )
    return tuple(found)


def _first_run(record: Record, cell: Cell) -> Observation | None:
    mine = (one for one in record.of(cell.id) if not one.variations and one.phase == "plan")
    return next((one for one in mine if one.verdict is not Verdict.UNSUPPORTED), None)
