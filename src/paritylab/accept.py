"""Rewrite expected.json from the oracle, once every implementation agrees with it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from paritylab import atomic
from paritylab.digest import canonical
from paritylab.errors import CatalogError, LabError
from paritylab.expected import read_expected, recorded
from paritylab.hardware import is_kind
from paritylab.judge import digest_key
from paritylab.model import IMPLEMENTATIONS, Cell, CellResult, Lab, OutputSpec, Value, Verdict
from paritylab.scenarios import Problem, compared, solve
from paritylab.schema import ExpectedModel, RecordedDigest, RecordedOutput

Place = tuple[str, str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """What accepting one lab would do: the new text, and the diff against today's file.

    ``refused`` are sentences about implementations that disagree with the oracle; while there is
    one, nothing may be written.
    """

    lab: Lab
    text: str
    diff: tuple[str, ...]
    refused: tuple[str, ...]

    def write(self) -> None:
        """Replace expected.json in one step."""
        atomic.write(self.lab.expected, self.text)


def accept(lab: Lab, cells: Sequence[Cell], results: Sequence[CellResult]) -> Acceptance:
    """Compute the acceptance of ``lab`` from results that were judged by the oracle alone.

    ``cells`` and ``results`` run in parallel; those of other labs are passed over.
    """
    ours = [(c, r) for c, r in zip(cells, results, strict=True) if c.lab.slug == lab.slug]
    refused = tuple(
        f"{result.cell}: {result.verdict}: {result.message}"
        for _, result in ours
        if not result.verdict.green and result.verdict is not Verdict.UNSUPPORTED
    )
    problem = _standing(lab, solve(lab, lab.seed))
    model = ExpectedModel(
        schema_version=1,
        lab=lab.slug,
        seed=lab.seed,
        inputs=problem.inputs_digest,
        outputs={name: _record(problem, spec) for name, spec in compared(lab).items()},
        digests=_digests(lab, problem, ours),
    )
    text = render(model)
    before = lab.expected.read_text(encoding="utf-8") if lab.expected.exists() else ""
    lines = difflib.unified_diff(
        before.splitlines(), text.splitlines(), "expected.json", "accepted", n=0, lineterm=""
    )
    return Acceptance(lab=lab, text=text, diff=tuple(lines), refused=refused)


def _standing(lab: Lab, solved: Problem) -> Problem:
    """``solved``, but with the values of expected.json if they are the oracle's but for rounding.

    NumPy's last bits depend on the CPU: whoever adds the digests of another one rewrites no value.
    """
    try:
        held = recorded(lab, solved)
    except LabError:
        return solved
    return solved if held.stale else held


def _record(problem: Problem, spec: OutputSpec) -> RecordedOutput | dict[str, RecordedOutput]:
    values = {name: problem.expected[name][spec.name] for name in IMPLEMENTATIONS}
    if spec.per_implementation:
        return {name: _flat(value, spec) for name, value in values.items()}
    return _flat(values[IMPLEMENTATIONS[0]], spec)


def _flat(value: Value, spec: OutputSpec) -> RecordedOutput:
    known = canonical(value)
    flat = [known] if isinstance(known, str) else np.ravel(known).tolist()
    return RecordedOutput(dtype=spec.dtype, shape=spec.shape, values=tuple(flat))


def _digests(
    lab: Lab, problem: Problem, ours: Iterable[tuple[Cell, CellResult]]
) -> tuple[RecordedDigest, ...]:
    """Digests of this run, and earlier ones of cells that were not run, if still of use."""
    # What has no lock (`here`) cannot be had again: its bits are not recorded.
    locked = [(c, r) for c, r in ours if r.digest and c.environment.stacks[c.device].lock_digest]
    # Nor are those of the CUDA packages on a CPU: a digest under `cuda` is a GPU's.
    locked = [(c, r) for c, r in locked if c.device == "cpu" or r.hardware]
    fresh = {_place(entry): entry for entry in (_recorded(c, r) for c, r in locked)}
    try:
        earlier = read_expected(lab)
    except LabError:
        return _sorted(fresh.values())
    same = earlier.inputs == problem.inputs_digest and set(earlier.outputs) == set(compared(lab))
    kept = [e for e in earlier.digests if _of_use(e, locked)] if same else []
    return _sorted({_place(entry): entry for entry in kept} | fresh)


def _of_use(entry: RecordedDigest, ran: Iterable[tuple[Cell, CellResult]]) -> bool:
    """Whether a run can meet it again: same lock, and a kind of CPU as lab.toml asks for.

    Of cells that did not run nothing is known.
    """
    cells = {(c.environment.name, c.device, c.implementation): c for c, _ in ran}
    cell = cells.get((entry.environment, entry.device, entry.implementation))
    if cell is None:
        return True
    fits = cell.device == "cuda" or is_kind(entry.hardware, cell.cpu_bits)
    return fits and entry.lock == cell.environment.stacks[cell.device].lock_digest


def _place(entry: RecordedDigest) -> Place:
    hardware = entry.hardware or ""
    return entry.environment, entry.device, entry.implementation, entry.profile, hardware


def _sorted(
    entries: dict[Place, RecordedDigest] | Iterable[RecordedDigest],
) -> tuple[RecordedDigest, ...]:
    values = entries.values() if isinstance(entries, dict) else entries
    return tuple(sorted(values, key=_place))


def _recorded(cell: Cell, result: CellResult) -> RecordedDigest:
    if result.digest is None:  # pragma: no cover - the caller has filtered
        raise CatalogError(f"{cell.id} has no digest")
    facts = digest_key(cell, result.profile, result.hardware)
    return RecordedDigest.model_validate({**facts, "digest": result.digest})


def render(model: ExpectedModel) -> str:
    """JSON with a line per array row and per digest: a diff of it is readable."""
    outputs = [
        f"    {json.dumps(name)}: {_render_output(output)}"
        for name, output in model.outputs.items()
    ]
    digests = [f"    {json.dumps(d.model_dump(exclude_none=True))}" for d in model.digests]
    return "\n".join(
        [
            "{",
            f'  "schema_version": {model.schema_version},',
            f'  "lab": {json.dumps(model.lab)},',
            f'  "seed": {model.seed},',
            f'  "inputs": {json.dumps(model.inputs)},',
            '  "outputs": {',
            ",\n".join(outputs),
            "  },",
            '  "digests": [',
            ",\n".join(digests),
            "  ]",
            "}",
            "",
        ]
    )


def _render_output(output: RecordedOutput | dict[str, RecordedOutput]) -> str:
    if isinstance(output, dict):
        inner = ",\n      ".join(f"{json.dumps(k)}: {_render_output(v)}" for k, v in output.items())
        return "{\n      " + inner + "\n    }"
    width = min(output.shape[-1], 5) if output.shape else 1
    values = [json.dumps(value) for value in output.values]
    rows = [", ".join(values[i : i + width]) for i in range(0, len(values), width or 1)]
    body = rows[0] if len(rows) == 1 else "\n      " + ",\n      ".join(rows) + "\n    "
    head = f'"dtype": {json.dumps(output.dtype)}, "shape": {json.dumps(output.shape)}'
    return f'{{{head}, "values": [{body}]}}'
